#include "lm/states.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "lm/layer.h"
#include "oncekit/error.h"

namespace oncekit::lm {
namespace fs = std::filesystem;
namespace {

constexpr double kKeepEvery = 240;  // seconds between two records of progress inside a layer

void at_point(const std::string& name) {
  if (states_fault_hook()) states_fault_hook()(name);
}

/// Rows of a file, read and written by place.
class RowFile {
 public:
  RowFile(fs::path path, bool create) : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0644)) {
    if (fd_ < 0) fail("cannot be opened");
  }
  ~RowFile() { ::close(fd_); }
  RowFile(const RowFile&) = delete;

  void read(void* to, std::size_t bytes, std::uint64_t offset) const {
    for (auto* at = static_cast<char*>(to); bytes > 0;) {
      const ssize_t n = ::pread(fd_, at, bytes, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) errno = EIO;
      if (n <= 0) fail("cannot be read");
      at += n, offset += static_cast<std::uint64_t>(n), bytes -= static_cast<std::size_t>(n);
    }
  }
  void write(const void* from, std::size_t bytes, std::uint64_t offset) const {
    for (const auto* at = static_cast<const char*>(from); bytes > 0;) {
      const ssize_t n = ::pwrite(fd_, at, bytes, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("cannot be written");
      at += n, offset += static_cast<std::uint64_t>(n), bytes -= static_cast<std::size_t>(n);
    }
  }
  void sync() const {
    if (::fdatasync(fd_) != 0) fail("cannot be written");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    const int code = errno;
    const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    throw Error(ErrorKind::kRun, full ? std::string("the disk is full") : std::string(what) + ": " + std::strerror(code),
                full ? "make room, or name another folder with --cache DIR; run the command again to go on where it stopped" : "check the cache folder's disk and permissions",
                display_path(path_));
  }
  fs::path path_;
  int fd_;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class Build {
 public:
  Build(const StatesJob& job, fs::path folder, fs::path pooled, Workspace& workspace)
      : job_(job), folder_(std::move(folder)), pooled_(std::move(pooled)), workspace_(workspace),
        width_(job.architecture.shape().width), row_bytes_(static_cast<std::uint64_t>(width_) * c10::elementSize(job.states)) {}

  void run() {
    const c10::AutoGradMode no_gradients(false);
    restore();
    const auto total = job_.forest.nodes() * std::max<std::int64_t>(job_.layers, 1);
    const std::int64_t before = step_ > 0 ? (step_ - 1) * job_.forest.nodes() + job_.forest.first_node[tree_] : 0;
    const auto progress = workspace_.progress("states", total, "token layers", std::min(total, before));
    // Step 0 makes boundary 0 from the embeddings, step l runs layer l - 1.
    for (; step_ <= job_.layers; ++step_, tree_ = 0) run_step(*progress);
    fs::rename(boundary(job_.layers), folder_ / "states.bin");
    at_point("whole");
    write_about();
    at_point("about");
  }

 private:
  fs::path boundary(std::int64_t l) const { return folder_ / fmt::format("boundary.{:04d}.part", l); }

  void restore() {
    if (fs::exists(folder_ / "progress.json")) {
      const auto kept = nlohmann::json::parse(read_file(folder_ / "progress.json"), nullptr, false);
      if (kept.is_object()) {
        step_ = kept.value("step", std::int64_t{0});
        tree_ = kept.value("tree", std::size_t{0});
        seconds_ = kept.value("seconds", 0.0);
      }
    }
    // A kill between the last rename and the end of the build: nothing but the record is missing.
    if (fs::exists(folder_ / "states.bin")) {
      fs::rename(folder_ / "states.bin", boundary(job_.layers));
      step_ = job_.layers + 1;
      tree_ = 0;
    }
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("boundary.")) continue;
      if (name != boundary(step_).filename() && name != boundary(step_ - 1).filename()) fs::remove(entry.path());
    }
    const bool missing = (step_ > 0 && !fs::exists(boundary(step_ - 1))) || (tree_ > 0 && !fs::exists(boundary(step_)));
    if (missing || tree_ > job_.forest.trees.size()) step_ = 0, tree_ = 0, seconds_ = 0;
    kept_at_ = began_ = now();
  }

  void keep() {
    const nlohmann::json record{{"step", step_}, {"tree", tree_}, {"seconds", seconds_ + now() - began_}};
    write_file(folder_ / "progress.json", record.dump());
    kept_at_ = now();
    at_point("kept");
  }

  void run_step(Progress& progress) {
    FrozenStep step(job_, step_);
    const RowFile out(boundary(step_), true);
    std::unique_ptr<RowFile> in;
    if (step_ > 0) in = std::make_unique<RowFile>(boundary(step_ - 1), false);
    open_pooled();
    const double step_began = now();
    const std::int64_t first = job_.forest.first_node[tree_];
    try {
      for (; tree_ < job_.forest.trees.size(); ++tree_) {
        workspace_.check_cancelled();
        if (now() - kept_at_ > kKeepEvery) sync(out), keep();
        const TokenTree& tree = job_.forest.trees[tree_];
        if (tree.nodes() == 0) continue;
        const Tensor y = run_tree(tree, step, in.get());
        const auto base = static_cast<std::uint64_t>(job_.forest.first_node[tree_]);
        out.write(y.const_data_ptr(), static_cast<std::size_t>(y.nbytes()), base * row_bytes_);
        if (!pooled_.empty()) write_pooled(tree, y);
        if (step_ > 0 || job_.layers == 0) progress.advance(tree.nodes());
        const double seconds = now() - step_began;
        if (step_ > 0 && seconds > 0)
          progress.note(fmt::format("layer {} of {}, {:.0f} tokens/s", step_, job_.layers,
                                    static_cast<double>(job_.forest.first_node[tree_ + 1] - first) / seconds / static_cast<double>(job_.layers)));
        at_point("tree");
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) sync(out), keep();
      throw;
    }
    sync(out);
    ++step_;  // for the record: what comes next
    tree_ = 0;
    keep();
    --step_;
    if (step_ > 0) fs::remove(boundary(step_ - 1));
    at_point("layer");
  }

  Tensor run_tree(const TokenTree& tree, FrozenStep& step, const RowFile* in) {
    if (in == nullptr) return step.run(tree, {});
    const Tensor below = FrozenStep::rows_for(job_, tree.nodes());
    in->read(below.mutable_data_ptr(), static_cast<std::size_t>(tree.nodes()) * row_bytes_, static_cast<std::uint64_t>(job_.forest.first_node[tree_]) * row_bytes_);
    return step.run(tree, below);
  }

  // ---- means and last states ------------------------------------------------------------------------------------------------

  void open_pooled() {
    if (pooled_.empty()) return;
    mean_ = std::make_unique<RowFile>(pooled_ / fmt::format("mean.{:04d}.bin", step_), true);
    last_ = std::make_unique<RowFile>(pooled_ / fmt::format("last.{:04d}.bin", step_), true);
    if (items_of_tree_.empty()) {
      items_of_tree_.resize(job_.forest.trees.size());
      for (std::size_t item = 0; item < job_.forest.tree_of_item.size(); ++item)
        items_of_tree_[static_cast<std::size_t>(job_.forest.tree_of_item[item])].push_back(static_cast<std::int64_t>(item));
    }
  }

  void write_pooled(const TokenTree& tree, const Tensor& y) {
    const Tensor x = y.to(at::kFloat);
    const float* rows = x.const_data_ptr<float>();
    std::vector<float> mean(static_cast<std::size_t>(width_)), last(mean.size());
    for (const std::int64_t item : items_of_tree_[tree_]) {
      const auto path = tree.path(job_.forest.sequence_of_item[static_cast<std::size_t>(item)]);
      std::fill(mean.begin(), mean.end(), 0.0f);
      std::fill(last.begin(), last.end(), 0.0f);
      for (const std::int64_t node : path)
        for (std::int64_t d = 0; d < width_; ++d) mean[static_cast<std::size_t>(d)] += rows[node * width_ + d];
      for (float& v : mean) v /= static_cast<float>(std::max<std::size_t>(path.size(), 1));
      if (!path.empty()) std::copy_n(rows + path.back() * width_, width_, last.begin());
      const std::size_t bytes = mean.size() * sizeof(float);
      mean_->write(mean.data(), bytes, static_cast<std::uint64_t>(item) * bytes);
      last_->write(last.data(), bytes, static_cast<std::uint64_t>(item) * bytes);
    }
  }

  void sync(const RowFile& out) const {
    out.sync();
    if (mean_) mean_->sync(), last_->sync();
  }

  void write_about() {
    const double seconds = seconds_ + now() - began_;
    const StatesCost cost = states_cost(job_);
    const auto nodes = static_cast<double>(job_.forest.nodes());
    const nlohmann::ordered_json about{{"model", display_path(job_.source.path())}, {"layers", job_.layers}, {"final_norm", job_.finish},
                                       {"items", job_.forest.tree_of_item.size()}, {"tokens", job_.forest.tokens}, {"computed_tokens", job_.forest.nodes()},
                                       {"width", width_}, {"type", job_.states == at::kFloat ? "f32" : "bf16"}, {"kernel", kernel_name(job_.compute, at::Device(job_.device))},
                                       {"seconds", seconds}, {"tokens_per_s", static_cast<double>(job_.forest.tokens) / std::max(seconds, 1e-9)},
                                       {"computed_tokens_per_s", nodes / std::max(seconds, 1e-9)}, {"gflop_per_s", cost.flop / std::max(seconds, 1e-9) / 1e9}};
    write_file(folder_ / "about.json", about.dump(2) + "\n");
  }

  const StatesJob& job_;
  fs::path folder_, pooled_;
  Workspace& workspace_;
  std::int64_t width_;
  std::uint64_t row_bytes_;
  std::int64_t step_ = 0;
  std::size_t tree_ = 0;
  double seconds_ = 0, began_ = 0, kept_at_ = 0;  ///< seconds_: of earlier, interrupted builds
  std::unique_ptr<RowFile> mean_, last_;
  std::vector<std::vector<std::int64_t>> items_of_tree_;
};

}  // namespace

std::function<void(const std::string&)>& states_fault_hook() {
  static std::function<void(const std::string&)> hook;
  return hook;
}

FrozenStep::FrozenStep(const StatesJob& job, std::int64_t step)
    : job_(job), step_(step), device_(job.device), layer_(job.source, step > 0 ? job.architecture.layer_prefix(step - 1) : "", job.compute, device_),
      outer_(job.source, "", Compute::kFloat32, device_) {}

Tensor FrozenStep::rows_for(const StatesJob& job, std::int64_t nodes) {
  const std::int64_t rows = full_rows(nodes);
  const Tensor x = at::empty({rows, job.architecture.shape().width}, job.states);
  x.narrow(0, nodes, rows - nodes).zero_();
  return x;
}

Tensor FrozenStep::run(const TokenTree& tree, const Tensor& below) {
  const c10::AutoGradMode no_gradients(false);
  const std::int64_t nodes = tree.nodes();
  const TokenBatch batch(tree, job_.architecture.shape(), device_, step_ > 0 ? full_rows(nodes) : nodes);
  Tensor x;
  if (step_ == 0) {
    const ReadTensor read = [&](const std::string& name) {
      Tensor& table = tables_[name];
      if (!table.defined()) table = job_.source.read(checkpoint_name(job_.source, name));
      return table;
    };
    x = job_.architecture.embed(read, tree.tokens_N, tree.positions_N);
  } else {
    FrozenContext context(layer_, batch);
    x = job_.architecture.layer(context, below.to(device_, at::kFloat));
  }
  if (step_ == job_.layers && job_.finish) {
    FrozenContext context(outer_, batch);
    x = job_.architecture.finish(context, x);
  }
  return x.narrow(0, 0, nodes).to(at::kCPU, job_.states).contiguous();
}

std::int64_t nodes_a_tree(const Shape& shape) { return shape.width >= 2048 ? 2048 : 1024; }

double linear_weights(const Architecture& architecture) {
  double weights = 0;
  for (const TensorNeed& need : architecture.layer_tensors())
    if (need.shape.size() == 2) weights += static_cast<double>(need.shape[0]) * static_cast<double>(need.shape[1]);
  return weights;
}

StatesCost states_cost(const StatesJob& job, bool pooled) {
  const Shape& shape = job.architecture.shape();
  const double weights = linear_weights(job.architecture);
  const auto nodes = static_cast<double>(job.forest.nodes());
  double looked_at = 0;
  std::int64_t largest = 0;
  for (const TokenTree& tree : job.forest.trees) {
    largest = std::max(largest, tree.nodes());
    for (const std::int32_t position : tree.positions_N) looked_at += position + 1;
  }
  StatesCost cost;
  cost.flop = static_cast<double>(job.layers) * (2 * weights * nodes + 4 * looked_at * static_cast<double>(shape.heads * shape.head_width));
  const std::int64_t boundary = job.forest.nodes() * shape.width * static_cast<std::int64_t>(c10::elementSize(job.states));
  const std::int64_t means = 2 * (job.layers + 1) * static_cast<std::int64_t>(job.forest.tree_of_item.size()) * shape.width * static_cast<std::int64_t>(sizeof(float));
  cost.result = pooled ? means : boundary;
  cost.disk = (job.layers > 0 ? 2 : 1) * boundary + (pooled ? means : 0);
  double tables = 0;  // what is mapped takes no memory of ours
  for (const TensorNeed& need : job.architecture.embedding_tensors()) {
    const ModelSource::Info info = job.source.info(checkpoint_name(job.source, need.name));
    if (info.mapped) continue;
    double bytes = static_cast<double>(c10::elementSize(info.type));
    for (const std::int64_t n : info.shape) bytes *= static_cast<double>(n);
    tables += bytes;
  }
  const double bytes = job.compute == Compute::kFloat32 ? 4 : 2;
  cost.memory = static_cast<std::int64_t>(std::max(tables, weights * (bytes + 2))) + largest * shape.width * 4 * 12;
  return cost;
}

void build_states(const StatesJob& job, const fs::path& folder, const fs::path& pooled, Workspace& workspace) {
  if (!fs::exists(folder / "about.json")) Build(job, folder, pooled, workspace).run();
  fs::remove(folder / "progress.json");
}

}  // namespace oncekit::lm
