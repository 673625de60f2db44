// The version of oncekit and of its plugin interface.
#pragma once

#define ONCEKIT_VERSION "0.1.0"
/// Raised whenever a plugin must be rebuilt for a reason that the hash of the headers does not show.
#define ONCEKIT_SDK_VERSION 1
