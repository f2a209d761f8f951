# MERIDIAN_SANITIZE=address,undefined | thread: applies to everything that is built here.
if(MERIDIAN_SANITIZE)
  add_compile_options(-fsanitize=${MERIDIAN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MERIDIAN_SANITIZE})
  if(MERIDIAN_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
