# What every target is compiled with.
#
# No -march: a release runs on any x86-64-v2 or AArch64 machine, and kernels choose their
# instructions at run time. -ffp-contract=off: a compiler that fuses a multiply and an add on its own
# would make the same sum round differently in two kernels.
add_library(malina_options INTERFACE)
target_compile_options(malina_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -ffp-contract=off -fno-math-errno)
target_include_directories(malina_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(malina_options INTERFACE MALINA_VERSION="${PROJECT_VERSION}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(malina_options INTERFACE -march=x86-64-v2)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these on correct standard library code when it inlines deeply.
  target_compile_options(malina_options INTERFACE -Wno-array-bounds -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-maybe-uninitialized -Wno-restrict -Wno-dangling-pointer)
endif()

if(MALINA_SANITIZE)
  target_compile_options(malina_options INTERFACE
    -fsanitize=${MALINA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(malina_options INTERFACE -fsanitize=${MALINA_SANITIZE})
endif()
if(MALINA_FUZZ)  # the libraries carry libFuzzer's counters; only the targets carry its main
  target_compile_options(malina_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(malina_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths relative to the source folder, so that one clone's objects serve the next one.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM AND NOT CMAKE_CROSSCOMPILING)
  add_link_options(-fuse-ld=mold)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # A kernel file may have nothing but constants between MALINA_ISA_BEGIN and MALINA_ISA_END.
  # libstdc++ 12 sorts by a function that it calls deprecated.
  target_compile_options(malina_options INTERFACE -Wno-pragma-clang-attribute
    -Wno-deprecated-declarations)
endif()
