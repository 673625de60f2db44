# LibTorch straight from its lib and include folders: a PyPI wheel (CPU or CUDA) or an unpacked LibTorch zip. The config
# files that ship with the wheels are not used, since those of CUDA wheels ask for a CUDA toolkit that users do not have.
#
# Searched, in this order: ONCEKIT_TORCH_DIR (cache variable), $ONCEKIT_TORCH, the project's private venv, python3's torch.
# Each may name the torch folder itself, a venv, or a site-packages folder.
#
# Targets
#   torch::c10     libc10.so
#   torch::aten    at::Tensor and the operators (tier 0 of the headers): libtorch_cpu.so, libc10.so, CUDA's when present
#   torch::torch   torch::aten and torch::nn (tier 1: adds torch/csrc/api/include)
# Results: LibTorch_FOUND, LibTorch_VERSION (2.13.0), LibTorch_FULL_VERSION (2.13.0+cpu), LibTorch_LIB_DIR
#
# The wheel's include folder also carries other people's headers (fmt, protobuf, pybind11). Targets expose a folder of
# links to ATen, c10, torch and caffe2 alone.

set(ONCEKIT_TORCH_DIR "" CACHE PATH "folder of LibTorch: the wheel's torch folder, or an unpacked LibTorch")

# Sets OUT to the first of PATH, PATH/torch, PATH/libtorch, PATH/lib/python3*/site-packages/torch that holds LibTorch.
function(_oncekit_torch_at path out)
  file(GLOB venv "${path}/lib/python3*/site-packages/torch")
  foreach(dir IN ITEMS "${path}" "${path}/torch" "${path}/libtorch" LISTS venv)
    if(EXISTS "${dir}/lib/libtorch_cpu.so" AND EXISTS "${dir}/include/ATen/core/Tensor.h")
      set(${out} "${dir}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
endfunction()

set(_torch "")
set(_named "${ONCEKIT_TORCH_DIR}")
if(NOT _named)
  set(_named "$ENV{ONCEKIT_TORCH}")
endif()
if(_named)
  _oncekit_torch_at("${_named}" _torch)
  if(NOT _torch)
    message(FATAL_ERROR "no LibTorch in '${_named}': expected lib/libtorch_cpu.so and include/ATen below it (or below "
      "torch/, or lib/python3*/site-packages/torch/). Name the folder by -DONCEKIT_TORCH_DIR=... or ONCEKIT_TORCH=...")
  endif()
else()
  _oncekit_torch_at("${CMAKE_CURRENT_LIST_DIR}/../.venv" _torch)
  if(NOT _torch)
    find_program(ONCEKIT_PYTHON NAMES python3 python)
    mark_as_advanced(ONCEKIT_PYTHON)
    if(ONCEKIT_PYTHON)
      execute_process(
        COMMAND "${ONCEKIT_PYTHON}" -c
          "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
        OUTPUT_VARIABLE _found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      if(_found)
        _oncekit_torch_at("${_found}" _torch)
      endif()
    endif()
  endif()
endif()

set(LibTorch_VERSION "")
if(_torch)
  file(REAL_PATH "${_torch}" _torch)
  set(ONCEKIT_TORCH_DIR "${_torch}" CACHE PATH "" FORCE)
  set(LibTorch_LIB_DIR "${_torch}/lib")

  set(_header "${_torch}/include/torch/headeronly/version.h")
  if(NOT EXISTS "${_header}")  # before 2.9
    set(_header "${_torch}/include/torch/csrc/api/include/torch/version.h")
  endif()
  if(EXISTS "${_header}")
    file(STRINGS "${_header}" _lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^;0-9]*([0-9]+)" "\\1" _lines "${_lines}")
    string(REPLACE ";" "." LibTorch_VERSION "${_lines}")
  endif()
  # The full version names the variant (+cpu, +cu130): a plugin's stamp records it.
  set(LibTorch_FULL_VERSION "${LibTorch_VERSION}")
  if(EXISTS "${_torch}/version.py")
    file(STRINGS "${_torch}/version.py" _line REGEX "^__version__ = '" LIMIT_COUNT 1)
    string(REGEX REPLACE "^__version__ = '([^']*)'.*" "\\1" LibTorch_FULL_VERSION "${_line}")
  elseif(EXISTS "${_torch}/build-version")
    file(STRINGS "${_torch}/build-version" LibTorch_FULL_VERSION LIMIT_COUNT 1)
  endif()

  file(STRINGS "${LibTorch_LIB_DIR}/libc10.so" _cxx11 REGEX "NSt7__cxx11" LIMIT_COUNT 1)
  if(NOT _cxx11)
    message(FATAL_ERROR "LibTorch in ${_torch} uses the string ABI of before C++11, which the system's libraries do not. "
      "Take a wheel of torch 2.13 or a LibTorch built with the cxx11 ABI.")
  endif()

  set(_links "${CMAKE_BINARY_DIR}/torch_include")
  file(MAKE_DIRECTORY "${_links}")
  foreach(dir ATen c10 torch caffe2)
    if(EXISTS "${_torch}/include/${dir}")
      file(CREATE_LINK "${_torch}/include/${dir}" "${_links}/${dir}" SYMBOLIC)
    endif()
  endforeach()

  if(NOT TARGET torch::torch)
    add_library(torch::c10 SHARED IMPORTED GLOBAL)
    set_target_properties(torch::c10 PROPERTIES
      IMPORTED_LOCATION "${LibTorch_LIB_DIR}/libc10.so" IMPORTED_SONAME libc10.so
      INTERFACE_INCLUDE_DIRECTORIES "${_links}")
    add_library(torch::cpu SHARED IMPORTED GLOBAL)
    set_target_properties(torch::cpu PROPERTIES
      IMPORTED_LOCATION "${LibTorch_LIB_DIR}/libtorch_cpu.so" IMPORTED_SONAME libtorch_cpu.so)

    add_library(torch::aten INTERFACE IMPORTED GLOBAL)
    target_include_directories(torch::aten SYSTEM INTERFACE "${_links}")
    target_compile_definitions(torch::aten INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
    target_link_libraries(torch::aten INTERFACE torch::cpu torch::c10)
    # RPATH, not RUNPATH: else LD_LIBRARY_PATH could put another LibTorch in place of the one we were built with.
    target_link_options(torch::aten INTERFACE -Wl,--disable-new-dtags)
    # Nothing refers to the CUDA libraries by symbol; they register their kernels when loaded.
    if(EXISTS "${LibTorch_LIB_DIR}/libtorch_cuda.so")
      target_link_libraries(torch::aten INTERFACE
        "-Wl,--push-state,--no-as-needed,${LibTorch_LIB_DIR}/libtorch_cuda.so,${LibTorch_LIB_DIR}/libc10_cuda.so,--pop-state")
    endif()

    add_library(torch::torch INTERFACE IMPORTED GLOBAL)
    target_include_directories(torch::torch SYSTEM INTERFACE "${_torch}/include/torch/csrc/api/include")
    target_link_libraries(torch::torch INTERFACE torch::aten)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_LIB_DIR LibTorch_VERSION
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "install the wheel (pip install --no-deps torch==2.13.0) or name a LibTorch by ONCEKIT_TORCH, \
./oncekit does the first by itself")
