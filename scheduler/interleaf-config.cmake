# find_package(interleaf) gives the target interleaf::scheduler.
include(CMakeFindDependencyMacro)

set(_interleaf_boost_static "${Boost_USE_STATIC_LIBS}")
set(Boost_USE_STATIC_LIBS ON)
find_dependency(Boost 1.74 COMPONENTS fiber context)
set(Boost_USE_STATIC_LIBS "${_interleaf_boost_static}")
unset(_interleaf_boost_static)

find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/interleaf-targets.cmake")
