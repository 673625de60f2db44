// Reads what oncekit must know of a shared library without loading it: one section's text and the libraries it needs.
// Loading first and asking later is no choice: a plugin linked to another LibTorch kills the process inside dlopen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace oncekit {

struct ElfFile {
  std::string problem;               ///< why the file is no 64-bit shared library, or ""; then the rest is empty
  std::uint16_t machine = 0;         ///< e_machine: 62 = x86-64, 183 = AArch64
  std::optional<std::string> stamp;  ///< content of section .oncekit_stamp up to its first NUL; absent without the section
  std::vector<std::string> needed;   ///< DT_NEEDED, in the file's order
};

/// Never throws for what the file holds: truncated, hostile and foreign files end in `problem`. Reads at most the headers and the
/// two sections, each bounded. Only ELF64, little endian, ET_DYN.
ElfFile read_elf(const std::filesystem::path& file);

/// "x86_64", "aarch64", or "machine 40".
std::string machine_name(std::uint16_t machine);
/// The e_machine of this process.
std::uint16_t own_machine();

}  // namespace oncekit
