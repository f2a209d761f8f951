# meridian_library(NAME <folder> LAYER <n> HDRS ... [SRCS ...] [DEPS ...] [PRIVATE_DEPS ...] [GRPC])
#
# One folder, one target, one row in docs/architecture.md. Depending on a meridian:: library
# that is not of a lower layer stops the configure step. Every header must compile alone: the first
# include of its own source proves it, and target all_verify_interface_header_sets compiles the others.
# GRPC: compile with the precompiled gRPC headers, after which an include proves nothing.
function(meridian_library)
  cmake_parse_arguments(PARSE_ARGV 0 LIB "GRPC" "NAME;LAYER" "HDRS;SRCS;DEPS;PRIVATE_DEPS")
  set(target meridian_${LIB_NAME})
  foreach(dep IN LISTS LIB_DEPS LIB_PRIVATE_DEPS)
    if(dep MATCHES "^meridian::(.+)$")
      if(NOT TARGET ${dep})
        message(FATAL_ERROR "${LIB_NAME} needs ${dep}, which is declared after it")
      endif()
      get_target_property(dep_layer meridian_${CMAKE_MATCH_1} MERIDIAN_LAYER)
      if(NOT dep_layer LESS LIB_LAYER)
        message(FATAL_ERROR
          "${LIB_NAME} (layer ${LIB_LAYER}) may not use ${dep} (layer ${dep_layer})")
      endif()
    endif()
  endforeach()

  if(LIB_SRCS)
    set(visibility PUBLIC)
    add_library(${target} STATIC)
    target_sources(${target} PRIVATE ${LIB_SRCS})
    target_link_libraries(${target} PRIVATE ${LIB_PRIVATE_DEPS} $<BUILD_INTERFACE:meridian_warnings>)
    if(LIB_GRPC)
      target_precompile_headers(${target} REUSE_FROM meridian_proto)
    endif()
  else()
    set(visibility INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  add_library(meridian::${LIB_NAME} ALIAS ${target})
  set(proven)
  foreach(source IN LISTS LIB_SRCS)
    string(REGEX REPLACE "\\.cc$" ".h" header ${source})
    if(NOT LIB_GRPC AND header IN_LIST LIB_HDRS)
      file(STRINGS ${source} first REGEX "^#include" LIMIT_COUNT 1)
      file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${header})
      if(first STREQUAL "#include \"${path}\"")
        list(APPEND proven ${header})
      endif()
    endif()
  endforeach()
  list(REMOVE_ITEM LIB_HDRS ${proven})
  target_sources(${target}
    ${visibility} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${LIB_HDRS}
    ${visibility} FILE_SET proven TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${proven})
  target_compile_features(${target} ${visibility} cxx_std_20)
  target_link_libraries(${target} ${visibility} ${LIB_DEPS})
  set_target_properties(${target} PROPERTIES
    MERIDIAN_LAYER ${LIB_LAYER}
    VERIFY_INTERFACE_HEADER_SETS ON
    INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
endfunction()

# meridian_executable(NAME <binary> SRCS ... DEPS ... [GRPC]): a program for build/<preset>/bin.
function(meridian_executable)
  cmake_parse_arguments(PARSE_ARGV 0 EXE "GRPC" "NAME" "SRCS;DEPS")
  add_executable(${EXE_NAME} ${EXE_SRCS})
  target_compile_features(${EXE_NAME} PRIVATE cxx_std_20)
  target_include_directories(${EXE_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${EXE_NAME} PRIVATE ${EXE_DEPS} meridian_warnings)
  set_target_properties(${EXE_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  if(EXE_GRPC)
    target_precompile_headers(${EXE_NAME} REUSE_FROM meridian_proto)
  endif()
endfunction()

# meridian_test(NAME <name> LABEL unit|contract|integration SRCS ... DEPS ... [GRPC] [TIMEOUT s]
#               [ONE_THREAD])
#
# One GoogleTest program, one ctest entry. Unit tests open no socket and never sleep; integration
# tests run one at a time, because their clusters want the machine, but next to unit and contract
# tests. What takes longest is begun first. ONE_THREAD: the test starts no thread, so
# ThreadSanitizer finds nothing in it, and its preset leaves the test out. Target <label>_tests builds
# all programs of a label.
function(meridian_test)
  cmake_parse_arguments(PARSE_ARGV 0 TEST "GRPC;ONE_THREAD" "NAME;LABEL;TIMEOUT" "SRCS;DEPS")
  if(TEST_ONE_THREAD AND MERIDIAN_SANITIZE MATCHES "thread")
    return()
  endif()
  add_executable(${TEST_NAME} ${TEST_SRCS})
  target_compile_features(${TEST_NAME} PRIVATE cxx_std_20)
  target_include_directories(${TEST_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${TEST_NAME} PRIVATE
    ${TEST_DEPS} GTest::gmock GTest::gtest_main meridian_warnings)
  if(TEST_GRPC)
    target_precompile_headers(${TEST_NAME} REUSE_FROM meridian_proto)
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
    if(MERIDIAN_SANITIZE)  # Up to twenty times as slow.
      set(TEST_TIMEOUT 400)
    endif()
  endif()
  add_test(NAME ${TEST_LABEL}/${TEST_NAME} COMMAND ${TEST_NAME})
  if(NOT TARGET ${TEST_LABEL}_tests)
    add_custom_target(${TEST_LABEL}_tests)
  endif()
  add_dependencies(${TEST_LABEL}_tests ${TEST_NAME})
  set(costs unit contract integration)
  list(FIND costs ${TEST_LABEL} cost)
  if(TEST_LABEL STREQUAL "integration")  # A cluster with deadlines: nothing runs beside it.
    set_tests_properties(${TEST_LABEL}/${TEST_NAME} PROPERTIES
      RESOURCE_LOCK cluster PROCESSORS 2)
  endif()
  set_tests_properties(${TEST_LABEL}/${TEST_NAME} PROPERTIES
    COST ${cost}
    LABELS ${TEST_LABEL} TIMEOUT ${TEST_TIMEOUT}
    ENVIRONMENT "MERIDIAN_BIN_DIR=${CMAKE_BINARY_DIR}/bin;MERIDIAN_SOURCE_DIR=${PROJECT_SOURCE_DIR};${MERIDIAN_SANITIZER_ENVIRONMENT}")
endfunction()
