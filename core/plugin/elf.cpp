#include "plugin/elf.h"

#include <elf.h>

#include <cstring>
#include <fstream>

namespace oncekit {
namespace {

// Larger than anything real: a stamp is 300 bytes, a dynamic section 1 KiB, string tables of templates some MiB.
constexpr std::uint64_t kLongestStamp = 1 << 16;
constexpr std::uint64_t kLongestDynamic = 1 << 20;
constexpr std::uint64_t kLongestName = 4096;

struct Damaged {
  std::string what;
};

// Every read is checked against the file's size, so that a wrong offset is a sentence and not a crash.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : in_(file, std::ios::binary) {
    std::error_code error;
    size_ = std::filesystem::file_size(file, error);
    if (!in_ || error) throw Damaged{"it cannot be read"};
  }

  std::uint64_t size() const noexcept { return size_; }

  void read(std::uint64_t offset, void* to, std::uint64_t bytes, const char* what) {
    if (offset > size_ || bytes > size_ - offset)
      throw Damaged{"it is truncated or damaged: " + std::string(what) + " should be at byte " + std::to_string(offset) +
                    ", the file has " + std::to_string(size_) + " bytes"};
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(offset));
    in_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!in_) throw Damaged{"reading it failed"};
  }

  template <class T>
  T at(std::uint64_t offset, const char* what) {
    T value;
    read(offset, &value, sizeof value, what);
    return value;
  }

  /// The NUL-terminated text at `offset`, at most `longest` bytes and never past `end`.
  std::string text(std::uint64_t offset, std::uint64_t end, std::uint64_t longest, const char* what) {
    if (offset >= end) throw Damaged{"it is damaged: " + std::string(what) + " lies outside its table"};
    std::string bytes(std::min(end - offset, longest), '\0');
    read(offset, bytes.data(), bytes.size(), what);
    bytes.resize(::strnlen(bytes.data(), bytes.size()));
    return bytes;
  }

 private:
  std::ifstream in_;
  std::uint64_t size_ = 0;
};

std::uint64_t end_of(const Elf64_Shdr& section, const Reader& reader, const char* what) {
  if (section.sh_offset > reader.size() || section.sh_size > reader.size() - section.sh_offset)
    throw Damaged{"it is truncated or damaged: " + std::string(what) + " should end at byte " +
                  std::to_string(section.sh_offset + section.sh_size) + ", the file has " + std::to_string(reader.size()) +
                  " bytes"};
  return section.sh_offset + section.sh_size;
}

void read_into(Reader& reader, ElfFile& elf) {
  unsigned char ident[EI_NIDENT] = {};
  if (reader.size() < SELFMAG) throw Damaged{"it is no shared library (ELF): it has " + std::to_string(reader.size()) + " bytes"};
  reader.read(0, ident, SELFMAG, "the magic");
  if (std::memcmp(ident, ELFMAG, SELFMAG) != 0) throw Damaged{"it is no shared library: its first bytes are not those of an ELF file"};
  reader.read(0, ident, EI_NIDENT, "the ELF header");
  if (ident[EI_CLASS] != ELFCLASS64)
    throw Damaged{ident[EI_CLASS] == ELFCLASS32 ? "it is a 32-bit library; oncekit is a 64-bit program" : "its ELF class is unknown"};
  if (ident[EI_DATA] != ELFDATA2LSB) throw Damaged{"it is a big-endian library; oncekit runs on little-endian machines"};
  const auto header = reader.at<Elf64_Ehdr>(0, "the ELF header");
  elf.machine = header.e_machine;
  if (header.e_type != ET_DYN) throw Damaged{"it is an ELF file but no shared library"};
  if (header.e_shnum == 0 || header.e_shoff == 0) throw Damaged{"it has no section headers, so its stamp cannot be found"};
  if (header.e_shentsize != sizeof(Elf64_Shdr)) throw Damaged{"it is damaged: section headers of an unknown size"};
  if (header.e_shstrndx >= header.e_shnum) throw Damaged{"it is damaged: the table of section names is missing"};

  const std::uint64_t bytes = std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  reader.read(header.e_shoff, sections.data(), bytes, "the section headers");

  const Elf64_Shdr& names = sections[header.e_shstrndx];
  const std::uint64_t names_end = end_of(names, reader, "the table of section names");
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_NULL || section.sh_name >= names.sh_size) continue;
    const std::string name = reader.text(names.sh_offset + section.sh_name, names_end, kLongestName, "a section's name");
    if (name == ".oncekit_stamp" && section.sh_type == SHT_PROGBITS) {
      if (elf.stamp) throw Damaged{"it has two stamps"};
      const std::uint64_t end = end_of(section, reader, "the stamp");
      if (section.sh_size > kLongestStamp) throw Damaged{"its stamp is larger than 64 KiB"};
      elf.stamp = section.sh_size ? reader.text(section.sh_offset, end, kLongestStamp, "the stamp") : std::string{};
    }
    if (section.sh_type != SHT_DYNAMIC) continue;
    end_of(section, reader, "the dynamic section");
    if (section.sh_size > kLongestDynamic || section.sh_link >= sections.size()) throw Damaged{"its dynamic section is damaged"};
    const Elf64_Shdr& strings = sections[section.sh_link];
    const std::uint64_t strings_end = end_of(strings, reader, "the dynamic strings");
    std::vector<Elf64_Dyn> entries(section.sh_size / sizeof(Elf64_Dyn));
    if (!entries.empty()) reader.read(section.sh_offset, entries.data(), entries.size() * sizeof(Elf64_Dyn), "the dynamic section");
    for (const Elf64_Dyn& entry : entries) {
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag != DT_NEEDED) continue;
      if (entry.d_un.d_val >= strings.sh_size) throw Damaged{"it is damaged: the name of a needed library lies outside its table"};
      elf.needed.push_back(reader.text(strings.sh_offset + entry.d_un.d_val, strings_end, kLongestName, "a needed library's name"));
    }
  }
}

}  // namespace

ElfFile read_elf(const std::filesystem::path& file) {
  ElfFile elf;
  try {
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) throw Damaged{"it is no regular file"};
    Reader reader(file);
    read_into(reader, elf);
  } catch (const Damaged& damaged) {
    elf = {};
    elf.problem = damaged.what;
  }
  return elf;
}

std::string machine_name(std::uint16_t machine) {
  switch (machine) {
    case EM_X86_64: return "x86_64";
    case EM_AARCH64: return "aarch64";
    default: return "machine " + std::to_string(machine);
  }
}

std::uint16_t own_machine() {
#if defined(__x86_64__)
  return EM_X86_64;
#elif defined(__aarch64__)
  return EM_AARCH64;
#else
  return EM_NONE;
#endif
}

}  // namespace oncekit
