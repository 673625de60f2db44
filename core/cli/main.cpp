// Placeholder of the command line: says the version.
#include <cstdio>

#include "oncekit/version.h"

int main() { std::puts("oncekit " ONCEKIT_VERSION); }
