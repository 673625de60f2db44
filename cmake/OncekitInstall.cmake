# cmake --install build/release --prefix DIR: the program, its plugins, recipes, and the CMake package for plugins elsewhere.
# LibTorch stays where it is. The build folder offers the same package: find_package(oncekit) with oncekit_DIR=build/release.

include(CMakePackageConfigHelpers)

install(TARGETS oncekit_core oncekit_test_kit EXPORT oncekitTargets LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
if(TARGET oncekit_cli)
  install(TARGETS oncekit_cli RUNTIME DESTINATION bin)
endif()
get_property(plugins GLOBAL PROPERTY ONCEKIT_PLUGIN_TARGETS)
if(plugins)
  install(TARGETS ${plugins} LIBRARY DESTINATION lib/oncekit/plugins)
endif()
install(DIRECTORY core/include/oncekit DESTINATION include FILES_MATCHING PATTERN "*.h")
foreach(folder recipes prompts)
  if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}")
    install(DIRECTORY "${folder}" DESTINATION share/oncekit)
  endif()
endforeach()
install(FILES LICENSE CITATION.cff DESTINATION share/oncekit)

install(EXPORT oncekitTargets NAMESPACE oncekit:: DESTINATION lib/cmake/oncekit)
export(EXPORT oncekitTargets NAMESPACE oncekit:: FILE "${PROJECT_BINARY_DIR}/oncekitTargets.cmake")
install(FILES cmake/FindLibTorch.cmake cmake/OncekitPlugin.cmake cmake/stamp.cmake DESTINATION lib/cmake/oncekit)

set(ONCEKIT_PACKAGE_PATHS "set(oncekit_cmake \"\${CMAKE_CURRENT_LIST_DIR}\")
set(oncekit_include \"\${PACKAGE_PREFIX_DIR}/include\")")
configure_package_config_file(cmake/oncekitConfig.cmake.in "${PROJECT_BINARY_DIR}/installed/oncekitConfig.cmake"
  INSTALL_DESTINATION lib/cmake/oncekit NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
set(ONCEKIT_PACKAGE_PATHS "set(oncekit_cmake \"${PROJECT_SOURCE_DIR}/cmake\")
set(oncekit_include \"${PROJECT_SOURCE_DIR}/core/include\")")
configure_package_config_file(cmake/oncekitConfig.cmake.in "${PROJECT_BINARY_DIR}/oncekitConfig.cmake"
  INSTALL_DESTINATION "${PROJECT_BINARY_DIR}" INSTALL_PREFIX "${PROJECT_BINARY_DIR}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/oncekitConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/installed/oncekitConfig.cmake" "${PROJECT_BINARY_DIR}/oncekitConfigVersion.cmake"
  DESTINATION lib/cmake/oncekit)
