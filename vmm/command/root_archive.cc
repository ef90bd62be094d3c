// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/root_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

constexpr size_t kReadBytes = 65536;
// More than any guest unpacks, less than a small archive can be made to hold.
constexpr int64_t kMaxRootBytes = int64_t{8} << 30;
// The name that ends a cpio archive.
constexpr absl::string_view kTrailer = "TRAILER!!!";
// What Linux starts, and what it would start of a root on a disk.
constexpr absl::string_view kInits[] = {"init", "sbin/init", "etc/init",
                                        "bin/init", "bin/sh"};

struct ReadEnd {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
struct WriteEnd {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
using Reader = std::unique_ptr<archive, ReadEnd>;
using Writer = std::unique_ptr<archive, WriteEnd>;

// Names of files are bytes to us and UTF-8 to tar; with the C locale the
// library would drop those that are not ASCII.
class Utf8 {
 public:
  Utf8()
      : ours_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)),
        before_(ours_ == nullptr ? nullptr : uselocale(ours_)) {}
  Utf8(const Utf8&) = delete;
  Utf8& operator=(const Utf8&) = delete;
  ~Utf8() {
    if (ours_ == nullptr) return;
    uselocale(before_);
    freelocale(ours_);
  }

 private:
  locale_t ours_;
  locale_t before_;
};

bool IsFolder(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::Status CheckKind(const std::string& path) {
  struct stat info = {};
  if (access(path.c_str(), R_OK) != 0 || stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(absl::StrCat("cannot open --rootfs ", path));
  }
  if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--rootfs ", path,
      " is a pipe or device, and would have to be read twice; write what it "
      "holds to a file first"));
}

absl::Status Complaint(absl::string_view path, archive* reader) {
  const char* const why = archive_error_string(reader);
  return absl::InvalidArgumentError(
      absl::StrCat("cannot read --rootfs ", path, ": ",
                   why == nullptr ? "it is no archive" : why,
                   "; it takes a folder, a tar or a cpio archive"));
}

// The name below the root: without what every path begins with.
std::string NameOf(const char* path, absl::string_view folder) {
  absl::string_view name = path == nullptr ? "" : path;
  if (!folder.empty()) name = absl::StripPrefix(name, folder);
  while (absl::ConsumePrefix(&name, "/") || absl::ConsumePrefix(&name, "./")) {
  }
  while (absl::ConsumeSuffix(&name, "/")) {
  }
  return name == "." ? "" : std::string(name);
}

// Reads a root's entries in turn.
class Source {
 public:
  static absl::StatusOr<Source> Open(const std::string& path) {
    if (IsFolder(path)) {
      Reader disk(archive_read_disk_new());
      archive_read_disk_set_symlink_hybrid(disk.get());  // `path` may be one.
      archive_read_disk_set_behavior(
          disk.get(), ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL |
                          ARCHIVE_READDISK_NO_FFLAGS);
      if (archive_read_disk_open(disk.get(), path.c_str()) != ARCHIVE_OK) {
        return Complaint(path, disk.get());
      }
      return Source(std::move(disk), path, true);
    }
    Reader file(archive_read_new());
    archive_read_support_format_tar(file.get());
    archive_read_support_format_cpio(file.get());
    archive_read_support_filter_gzip(file.get());
    archive_read_support_filter_bzip2(file.get());
    archive_read_support_filter_xz(file.get());
    archive_read_support_filter_zstd(file.get());
    if (archive_read_open_filename(file.get(), path.c_str(), kReadBytes) !=
        ARCHIVE_OK) {
      return Complaint(path, file.get());
    }
    return Source(std::move(file), path, false);
  }

  // Calls `take` for each entry, with its name; empty for the root itself.
  absl::Status ForEach(
      const std::function<absl::Status(archive_entry*, const std::string&)>&
          take) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(
        archive_entry_new2(reader_.get()), archive_entry_free);
    for (;;) {
      const int result = archive_read_next_header2(reader_.get(), entry.get());
      if (result == ARCHIVE_EOF) return absl::OkStatus();
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
        return Complaint(path_, reader_.get());
      }
      if (is_folder_) {
        archive_read_disk_descend(reader_.get());
        if (archive_entry_uid(entry.get()) == geteuid()) {
          archive_entry_set_uid(entry.get(), 0);
          archive_entry_set_gid(entry.get(), 0);
        }
      }
      RETURN_IF_ERROR(
          take(entry.get(), NameOf(archive_entry_pathname(entry.get()),
                                   is_folder_ ? path_ : "")));
    }
  }

  // Copies the content of the entry that ForEach() is at: `most` bytes at most.
  absl::Status CopyTo(archive* writer, int64_t most) {
    const void* block = nullptr;
    size_t size = 0;
    int64_t offset = 0;
    int64_t written = 0;
    for (;;) {
      const int result =
          archive_read_data_block(reader_.get(), &block, &size, &offset);
      if (result == ARCHIVE_EOF) return absl::OkStatus();
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
        return Complaint(path_, reader_.get());
      }
      if (offset > most) {  // A hole without an end, in a sparse file.
        return absl::InvalidArgumentError(absl::StrCat(
            "--rootfs ", path_, " is damaged: a file has more bytes than it ",
            "says; make the archive again"));
      }
      static constexpr std::array<uint8_t, 4096> kHole = {};
      while (written < offset) {
        const auto part = std::min<int64_t>(offset - written, kHole.size());
        RETURN_IF_ERROR(Write(writer, kHole.data(), static_cast<size_t>(part)));
        written += part;
      }
      RETURN_IF_ERROR(Write(writer, block, size));
      written += static_cast<int64_t>(size);
    }
  }

 private:
  Source(Reader reader, std::string path, bool is_folder)
      : reader_(std::move(reader)),
        path_(std::move(path)),
        is_folder_(is_folder) {}

  static absl::Status Write(archive* writer, const void* block, size_t size) {
    if (archive_write_data(writer, block, size) >= 0) return absl::OkStatus();
    errno = archive_errno(writer);
    return ErrnoStatus("cannot keep the root file system while it is read");
  }

  Reader reader_;
  std::string path_;
  bool is_folder_;
};

// What has to be known of all entries before the first can be written.
struct Survey {
  std::set<std::string> linked;  // Files that others are links to.
  std::set<std::string> inits;   // Of kInits, those that are there.
};

absl::StatusOr<Survey> SurveyOf(const std::string& path) {
  ASSIGN_OR_RETURN(Source source, Source::Open(path));
  Survey survey;
  bool empty = true;
  int64_t size = 0;
  RETURN_IF_ERROR(source.ForEach(
      [&](archive_entry* entry, const std::string& name) -> absl::Status {
        empty = empty && name.empty();
        if (archive_entry_size(entry) > kMaxRootBytes - size) {
          return absl::InvalidArgumentError(absl::StrCat(
              "--rootfs ", path, " holds more than 8 GiB; use a smaller one"));
        }
        size += archive_entry_size(entry);
        for (const absl::string_view init : kInits) {
          if (name == init) survey.inits.insert(name);
        }
        if (const char* const link = archive_entry_hardlink(entry)) {
          survey.linked.insert(NameOf(link, ""));
        }
        return absl::OkStatus();
      }));
  if (empty) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rootfs ", path, " is empty"));
  }
  return survey;
}

// The number of each file that has several names.
class LinkNumbers {
 public:
  // Of an archive only the later names say that they are; hence the survey.
  void Note(archive_entry* entry, const std::string& name,
            const Survey& survey) {
    const char* const link = archive_entry_hardlink(entry);
    if (link != nullptr) {
      const std::string target = NameOf(link, "");
      archive_entry_set_hardlink(entry, nullptr);
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_size(entry, 0);
      Set(entry, by_name_.try_emplace(target, next_).first->second);
    } else if (survey.linked.contains(name)) {
      Set(entry, by_name_.try_emplace(name, next_).first->second);
    } else if (archive_entry_nlink(entry) > 1 &&
               archive_entry_filetype(entry) == AE_IFREG) {
      const std::pair file(archive_entry_dev(entry),
                           archive_entry_ino64(entry));
      Set(entry, by_file_.try_emplace(file, next_).first->second);
    } else {
      archive_entry_set_nlink(entry, 1);
      archive_entry_set_ino64(entry, next_);
    }
    archive_entry_set_dev(entry, 0);
    ++next_;
  }

 private:
  static void Set(archive_entry* entry, int64_t number) {
    archive_entry_set_nlink(entry, 2);
    archive_entry_set_ino64(entry, number);
  }

  int64_t next_ = 1;
  std::map<std::string, int64_t> by_name_;
  std::map<std::pair<dev_t, int64_t>, int64_t> by_file_;
};

absl::Status WriteArchive(const std::string& path, const Survey& survey,
                          const UniqueFd& into) {
  const Writer writer(archive_write_new());
  archive_write_set_format_cpio_newc(writer.get());
  archive_write_add_filter_none(writer.get());
  archive_write_set_bytes_in_last_block(writer.get(), 1);
  archive_write_open_fd(writer.get(), into.get());
  ASSIGN_OR_RETURN(Source source, Source::Open(path));
  LinkNumbers numbers;
  RETURN_IF_ERROR(source.ForEach(
      [&](archive_entry* entry, const std::string& name) -> absl::Status {
        if (name.empty()) return absl::OkStatus();
        if (name == kTrailer) {
          return absl::InvalidArgumentError(absl::StrCat(
              "--rootfs ", path, " has a file ", name,
              ", at which Linux stops unpacking; give it another name"));
        }
        numbers.Note(entry, name, survey);
        archive_entry_set_pathname(entry, name.c_str());
        if (archive_write_header(writer.get(), entry) < ARCHIVE_WARN) {
          return absl::InvalidArgumentError(
              absl::StrCat("--rootfs ", path, ": ", name, ": ",
                           archive_error_string(writer.get())));
        }
        const int64_t size = archive_entry_size(entry);
        if (size == 0) return absl::OkStatus();
        return source.CopyTo(writer.get(), size);
      }));
  if (archive_write_close(writer.get()) == ARCHIVE_OK) return absl::OkStatus();
  errno = archive_errno(writer.get());
  return ErrnoStatus("cannot keep the root file system while it is read");
}

}  // namespace

std::string FolderForUnpacking() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

absl::StatusOr<RootArchive> ReadRoot(const std::string& path) {
  RETURN_IF_ERROR(CheckKind(path));
  const Utf8 utf8;
  ASSIGN_OR_RETURN(const Survey survey, SurveyOf(path));
  const std::string folder = FolderForUnpacking();
  UniqueFd file(
      open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.valid()) {
    return ErrnoStatus(absl::StrCat("cannot make a file in ", folder,
                                    " for --rootfs; name another folder by "
                                    "TMPDIR"));
  }
  RETURN_IF_ERROR(WriteArchive(path, survey, file));
  RootArchive root;
  for (const absl::string_view init : kInits) {
    if (!survey.inits.contains(std::string(init))) continue;
    root.init = absl::StrCat("/", init);
    break;
  }
  ASSIGN_OR_RETURN(root.archive, Content::Of(std::move(file), path));
  return root;
}

}  // namespace vmm
