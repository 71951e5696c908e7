// SPDX-License-Identifier: GPL-2.0-only
// Error numbers come from <cerrno>; error pointers as in include/linux/err.h.
#pragma once

#include <cerrno>
#include <cstdint>

namespace kernel
{

inline constexpr std::uintptr_t MAX_ERRNO = 4095;

template <typename T = void>
T *ERR_PTR(long error)
{
	return reinterpret_cast<T *>(static_cast<std::uintptr_t>(error));
}
inline long PTR_ERR(const void *pointer)
{
	return static_cast<long>(reinterpret_cast<std::uintptr_t>(pointer));
}
inline bool IS_ERR(const void *pointer)
{
	return reinterpret_cast<std::uintptr_t>(pointer) >= static_cast<std::uintptr_t>(-MAX_ERRNO);
}
inline bool IS_ERR_OR_NULL(const void *pointer)
{
	return pointer == nullptr || IS_ERR(pointer);
}

} // namespace kernel
