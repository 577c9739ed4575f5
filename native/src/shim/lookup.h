// Finding the program of a process, with the texts that Go's exec.LookPath gives and Docker's clients know.
#pragma once

#include <climits>

#include "kernel/failure.h"

namespace gantry::shim {

// Looks `name` up for the caller's root, directory and user: as it is when it holds a slash, else in the PATH of
// `environment` (null-terminated). `path` gets what to execute.
bool find_program(const char* name, char* const* environment, char (&path)[PATH_MAX], Failure& failure);

}  // namespace gantry::shim
