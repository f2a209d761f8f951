# MERIDIAN_SANITIZE=address,undefined | thread: applies to everything that is built here.
if(MERIDIAN_SANITIZE)
  add_compile_options(-fsanitize=${MERIDIAN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MERIDIAN_SANITIZE})
  if(MERIDIAN_SANITIZE MATCHES "undefined")
    # Without checks of each pointer for null and of each object for its class: they are a third of
    # the compile time, AddressSanitizer stops at a null or freed object as well.
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=null,vptr)
  endif()
  if(MERIDIAN_SANITIZE MATCHES "address")
    set(MERIDIAN_SANITIZER_ENVIRONMENT
      "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/lsan.supp print_suppressions=0")
  endif()
  if(MERIDIAN_SANITIZE MATCHES "thread")
    set(MERIDIAN_SANITIZER_ENVIRONMENT
      "TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/tsan.supp ignore_noninstrumented_modules=1")
    # Debian's Abseil is not instrumented; see tsan_absl.cc.
    find_package(absl REQUIRED)
    add_library(meridian_tsan_absl STATIC ${CMAKE_CURRENT_LIST_DIR}/tsan_absl.cc)
    target_compile_features(meridian_tsan_absl PUBLIC cxx_std_20)
    target_link_libraries(meridian_tsan_absl PUBLIC absl::synchronization absl::time)
    foreach(symbol
        N4absl7debian35Mutex4LockEv N4absl7debian35Mutex6UnlockEv N4absl7debian35Mutex7TryLockEv
        N4absl7debian35Mutex10ReaderLockEv N4absl7debian35Mutex12ReaderUnlockEv
        N4absl7debian35Mutex5AwaitERKNS0_9ConditionE
        N4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE
        N4absl7debian37CondVar4WaitEPNS0_5MutexE
        N4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE
        N4absl7debian312Notification6NotifyEv NK4absl7debian312Notification19WaitForNotificationEv
        NK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
      add_link_options(-Wl,--wrap=_Z${symbol})
    endforeach()
    # Taken from the archive by every program, also where only other libraries call it.
    add_link_options(-Wl,--undefined=__wrap__ZN4absl7debian35Mutex4LockEv)
    link_libraries(meridian_tsan_absl)
  endif()
endif()
