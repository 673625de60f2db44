#include "tokenizer/sentencepiece.h"

#include <cstring>

#include <sentencepiece_processor.h>

#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

// The few fields of sentencepiece_model.proto that are needed here.
enum Field : std::uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };  // of ModelProto
enum PieceField : std::uint32_t { kPiece = 1, kScore = 2, kType = 3 };              // of a piece
enum TrainerField : std::uint32_t { kModelType = 3, kByteFallback = 35, kUnknownId = 40 };
enum NormalizerField : std::uint32_t { kName = 1, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4, kEscapeWhitespaces = 5 };

// Protocol buffers' wire format, read: https://protobuf.dev/programming-guides/encoding
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : bytes_(bytes) {}
  std::uint32_t field = 0;
  std::uint64_t number = 0;  // of a varint field
  std::string_view content;  // of a length-delimited field
  bool damaged = false;

  bool next() {
    if (at_ >= bytes_.size()) return false;
    const std::uint64_t tag = varint();
    field = static_cast<std::uint32_t>(tag >> 3);
    content = {};
    switch (tag & 7) {
      case 0: number = varint(); break;
      case 1: skip(8); break;
      case 2: content = skip(varint()); break;
      case 5: skip(4); break;
      default: damaged = true;
    }
    if (field == 0) damaged = true;
    return !damaged;
  }
  std::size_t at() const { return at_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) break;
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    damaged = true;
    return 0;
  }
  std::string_view skip(std::uint64_t n) {
    if (n > bytes_.size() - at_) {
      damaged = true;
      return {};
    }
    const std::string_view part = bytes_.substr(at_, n);
    at_ += n;
    return part;
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
};

// and written.
class ProtoWriter {
 public:
  ProtoWriter& number(std::uint32_t field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
    return *this;
  }
  ProtoWriter& content(std::uint32_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  ProtoWriter& real(std::uint32_t field, float value) {
    varint(field << 3 | 5);
    char raw[4];
    std::memcpy(raw, &value, 4);
    bytes_.append(raw, 4);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// The pieces that Hugging Face matches in the text itself: unknown, control and user-defined ones.
std::vector<AddedToken> named_pieces(std::string_view model, const std::filesystem::path& file) {
  std::vector<AddedToken> named;
  ProtoReader reader(model);
  std::int32_t id = 0;
  while (reader.next()) {
    if (reader.field != kPieces) continue;
    std::string name;
    auto kind = PieceKind::kNormal;
    ProtoReader piece(reader.content);
    while (piece.next()) {
      if (piece.field == kPiece) name = piece.content;
      if (piece.field == kType) kind = static_cast<PieceKind>(piece.number);
    }
    if (piece.damaged) reader.damaged = true;
    if (kind == PieceKind::kUnknown || kind == PieceKind::kControl || kind == PieceKind::kUserDefined) {
      // Half a character would match in the middle of a whole one.
      if (!is_utf8(name))
        throw Error(ErrorKind::kData, "sentencepiece piece " + std::to_string(id) + ", which is matched in texts, is not UTF-8",
                    "the file is damaged: fetch it again", file.string());
      named.push_back({.content = name, .id = id});
    }
    ++id;
  }
  if (reader.damaged || id == 0) {
    throw Error(ErrorKind::kData,
                id == 0 ? "is no sentencepiece model: it has no pieces"
                        : "sentencepiece model is damaged or cut short near byte " + std::to_string(reader.at()) + " of " +
                              std::to_string(model.size()) + ", behind " + std::to_string(id) + " pieces",
                "fetch it again", file.string());
  }
  return named;
}

class SentencePiece final : public Tokenizer {
 public:
  SentencePiece(const std::string& model, SentencePieceOptions options, const std::filesystem::path& file)
      : every_section_(options.every_section) {
    for (AddedToken& token : named_pieces(model, file)) added_.add(std::move(token));
    load(spaced_, model, file);
    // A message that stands twice is merged, the later value of a field wins: this switches the space off.
    if (!every_section_)
      load(plain_, model + ProtoWriter().content(kNormalizerSpec, ProtoWriter().number(kAddDummyPrefix, 0).bytes()).bytes(),
           file);
    size_ = spaced_.GetPieceSize();
    std::string all = model + (every_section_ ? "+" : "-");
    for (AddedToken& token : options.added) {
      all += as_text(token);
      size_ = std::max<std::int64_t>(size_, token.id + 1);
      names_.emplace_back(token.id, token.content);
      added_.add(std::move(token));
    }
    digest_ = oncekit::digest(all);
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::string mended;
    if (!is_utf8(text)) text = mended = mend_utf8(text);
    std::vector<std::int32_t> ids;
    std::vector<int> part;
    added_.split(
        text,
        [&](std::size_t begin, std::size_t end) {
          const std::string_view section = text.substr(begin, end - begin);
          const bool spaced = every_section_ || (begin == 0 && !section.starts_with(' ') && !section.starts_with("▁"));
          const auto status = (spaced ? spaced_ : plain_).Encode(section, &part);
          if (!status.ok())
            throw Error(ErrorKind::kRun, std::string("the sentencepiece library cannot encode a text: ") + status.message());
          ids.insert(ids.end(), part.begin(), part.end());
        },
        [&](std::int32_t id) { ids.push_back(id); });
    return ids;
  }
  std::int64_t size() const override { return size_; }
  std::int64_t vocabulary_size() const override { return spaced_.GetPieceSize(); }
  std::string digest() const override { return digest_; }
  std::string kind() const override { return "sentencepiece"; }
  std::string token(std::int32_t id) const override {
    if (id >= 0 && id < spaced_.GetPieceSize()) return spaced_.IdToPiece(id);
    for (const auto& [known, name] : names_) {
      if (known == id) return name;
    }
    return {};
  }

 private:
  using Processor = sentencepiece::SentencePieceProcessor;

  static void load(Processor& processor, const std::string& model, const std::filesystem::path& file) {
    const auto status = processor.LoadFromSerializedProto(model);
    if (!status.ok()) {
      throw Error(ErrorKind::kData, std::string("is refused by the sentencepiece library: ") + status.message(),
                  "the model is damaged or of a newer format: fetch it again", file.string());
    }
  }

  Processor spaced_, plain_;  // with and without the space before a text; without: loaded unless every section has it
  AddedTokens added_;
  std::vector<std::pair<std::int32_t, std::string>> names_;
  std::int64_t size_ = 0;
  std::string digest_;
  bool every_section_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece(const std::string& model, SentencePieceOptions options,
                                              const std::filesystem::path& file) {
  return std::make_unique<SentencePiece>(model, std::move(options), file);
}

std::string write_sentencepiece_model(const std::vector<SentencePieceEntry>& pieces, bool space_before, bool drop_spaces) {
  ProtoWriter model;
  std::uint64_t unknown = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const SentencePieceEntry& entry = pieces[i];
    if (entry.kind == PieceKind::kUnknown) unknown = i;
    ProtoWriter piece;
    piece.content(kPiece, entry.piece).real(kScore, entry.score).number(kType, static_cast<std::uint64_t>(entry.kind));
    model.content(kPieces, piece.bytes());
  }
  ProtoWriter trainer, normalizer;
  trainer.number(kModelType, 2 /* BPE */).number(kByteFallback, 1).number(kUnknownId, unknown);
  normalizer.content(kName, "identity")
      .number(kAddDummyPrefix, space_before)
      .number(kRemoveExtraWhitespaces, drop_spaces)
      .number(kEscapeWhitespaces, 1);
  return model.content(kTrainerSpec, trainer.bytes()).content(kNormalizerSpec, normalizer.bytes()).bytes();
}

}  // namespace oncekit
