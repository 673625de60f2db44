# Writes the stamp of a plugin or of the host as a C++ source; run at build time, so that it follows every header edit:
#   cmake -DHEADERS=core/include/oncekit -DTORCH=2.13.0+cpu -DOUT=stamp.cpp [-DNAME=nrms -DCOMPONENTS=user_encoder/nrms,...]
#         -P stamp.cmake
# With NAME it is a plugin's (ELF section .oncekit_stamp), without it the host's (oncekit::kHostStamp). The text, one
# key=value a line, is described in docs/stamp.md. What depends on compiler flags is left to the preprocessor.
cmake_minimum_required(VERSION 3.25)

# Comments and white space do not count: only what a compiler would see.
file(GLOB headers "${HEADERS}/*.h")
list(SORT headers)
set(all "")
foreach(header IN LISTS headers)
  file(READ "${header}" text)
  get_filename_component(name "${header}" NAME)
  string(REPLACE "://" ":" text "${text}")  # an address in a string is no comment
  string(REGEX REPLACE "//[^\n]*|/\\*([^*]|\\*+[^*/])*\\*+/" "" text "${text}")
  string(REGEX REPLACE "[ \t\r\n]+" "" text "${text}")
  string(APPEND all "<${name}>${text}")
endforeach()
string(SHA256 sdk_hash "${all}")
string(SUBSTRING "${sdk_hash}" 0 16 sdk_hash)
file(STRINGS "${HEADERS}/version.h" sdk_version REGEX "define ONCEKIT_SDK_VERSION")
string(REGEX REPLACE "[^0-9]*([0-9]+).*" "\\1" sdk_version "${sdk_version}")

if(NAME)
  set(head "  \"name=${NAME}\\n\"\n  \"components=${COMPONENTS}\\n\"\n")
  set(open "extern \"C\" __attribute__((section(\".oncekit_stamp\"), used, visibility(\"default\"), aligned(1)))\nconst char oncekit_plugin_stamp[] =")
  set(close "")
else()
  set(head "")
  set(open "namespace oncekit {\nextern const char kHostStamp[];\nconst char kHostStamp[] =")
  set(close "}  // namespace oncekit\n")
endif()

set(source "// Made by cmake/stamp.cmake.
#include <version>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

#if defined(_GLIBCXX_RELEASE) && defined(_GLIBCXX_DEBUG)
#define STDLIB \"libstdc++ \" TEXT(_GLIBCXX_RELEASE) \" debug\"
#elif defined(_GLIBCXX_RELEASE)
#define STDLIB \"libstdc++ \" TEXT(_GLIBCXX_RELEASE)
#elif defined(_LIBCPP_VERSION)
#define STDLIB \"libc++ \" TEXT(_LIBCPP_VERSION)
#else
#define STDLIB \"unknown\"
#endif

#ifdef _GLIBCXX_USE_CXX11_ABI
#define CXX_ABI \"cxx11=\" TEXT(_GLIBCXX_USE_CXX11_ABI)
#else
#define CXX_ABI \"cxx11=0\"
#endif

#if defined(__x86_64__)
#define ARCH \"x86_64\"
#elif defined(__aarch64__)
#define ARCH \"aarch64\"
#else
#define ARCH \"other\"
#endif

#ifdef __has_feature
#define HAS(x) __has_feature(x)
#else
#define HAS(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer)
#define SANITIZERS \"address\"
#elif defined(__SANITIZE_THREAD__) || HAS(thread_sanitizer)
#define SANITIZERS \"thread\"
#else
#define SANITIZERS \"none\"
#endif

${open}
  \"oncekit-stamp 1\\n\"
${head}  \"sdk_version=${sdk_version}\\n\"
  \"sdk_hash=${sdk_hash}\\n\"
  \"torch=${TORCH}\\n\"
  \"cxx_abi=\" CXX_ABI \"\\n\"
  \"stdlib=\" STDLIB \"\\n\"
  \"arch=\" ARCH \"\\n\"
  \"sanitizers=\" SANITIZERS \"\\n\";
${close}")

# An unchanged stamp keeps its time, so that nothing is compiled again.
set(old "")
if(EXISTS "${OUT}")
  file(READ "${OUT}" old)
endif()
if(NOT old STREQUAL source)
  file(WRITE "${OUT}" "${source}")
endif()
