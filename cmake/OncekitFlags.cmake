# Compiler and linker settings of our own targets, and the compiler cache.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "GCC ${CMAKE_CXX_COMPILER_VERSION} is too old: oncekit is C++20 and needs GCC 12 or Clang 16")
endif()

# ccache must be told that a precompiled header is an input like any other.
find_program(ONCEKIT_CCACHE ccache)
mark_as_advanced(ONCEKIT_CCACHE)
if(ONCEKIT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${ONCEKIT_CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

# For programs too (CMake would give them -fPIE): a precompiled header serves only those who compile with its own flags.
add_compile_options(-fPIC)

# The own flags reach our targets only, never what a plugin elsewhere compiles.
add_library(oncekit_flags INTERFACE)
target_compile_options(oncekit_flags INTERFACE -Wall -Wextra -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${ONCEKIT_WERROR}>:-Werror>)
# What GCC 12 reports inside the standard library once it optimises and sanitises at a time is not ours to mend; and leaving
# the last members of an aggregate to their defaults is no mistake.
if(ONCEKIT_WERROR AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(oncekit_flags INTERFACE -Wno-missing-field-initializers -Wno-error=maybe-uninitialized
    -Wno-error=restrict -Wno-error=array-bounds -Wno-error=stringop-overflow -Wno-error=stringop-overread
    -Wno-error=dangling-pointer)
endif()
# Calls inside liboncekit.so need not go through the symbol table.
target_compile_options(oncekit_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)

if(ONCEKIT_SANITIZE)
  add_compile_options(-fsanitize=${ONCEKIT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ONCEKIT_SANITIZE})
endif()
add_link_options(-Wl,--disable-new-dtags -Wl,--as-needed)
