# meridian_warnings: what every target of ours is compiled with. clang also checks the locks.
add_library(meridian_warnings INTERFACE)
target_compile_options(meridian_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-unused-parameter -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # Debian 12's clang 14 does not know the warning, and says so.
  $<$<AND:$<CXX_COMPILER_ID:Clang>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,15>>:-Wno-deprecated-builtins>
  # g++ 12 reports accesses that cannot happen inside inlined std::string and std::optional.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds>)
