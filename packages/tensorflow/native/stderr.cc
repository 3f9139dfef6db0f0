// Holds back what is written to file descriptor 2 for a moment, whoever writes it: TensorFlow's static initializers do so
// before anything can tell them what to log. Node itself cannot duplicate a descriptor.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <node_api.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {

int before = -1;
int held = -1;
struct sigaction abort_before;

std::string read_held() {
  std::string text;
  char part[4096];
  for (off_t at = 0;;) {
    const ssize_t count = pread(held, part, sizeof part, at);
    if (count <= 0) return text;
    text.append(part, count);
    at += count;
  }
}

// A process that aborts meanwhile has said why: that must arrive. The signal is raised again when this returns.
void on_abort(int) {
  char part[4096];
  ssize_t count;
  for (off_t at = 0; (count = pread(held, part, sizeof part, at)) > 0; at += count)
    if (write(before, part, count) < 0) return;
}

// hold(): true when file descriptor 2 leads into memory from here on.
napi_value hold(napi_env env, napi_callback_info) {
  fflush(stderr);
  bool holds = false;
  if (before < 0 && (before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0) {
    held = memfd_create("stderr", MFD_CLOEXEC);
    holds = held >= 0 && dup2(held, STDERR_FILENO) >= 0;
    if (!holds) {
      if (held >= 0) close(held);
      close(before);
      before = held = -1;
    }
  }
  if (holds) {
    struct sigaction action = {};
    action.sa_handler = on_abort;
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGABRT, &action, &abort_before);
  }
  napi_value result;
  napi_get_boolean(env, holds, &result);
  return result;
}

// release(): puts file descriptor 2 back, and gives what was written to it meanwhile.
napi_value release(napi_env env, napi_callback_info) {
  std::string text;
  if (before >= 0) {
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    sigaction(SIGABRT, &abort_before, nullptr);
    text = read_held();
    close(before);
    close(held);
    before = held = -1;
  }
  napi_value result;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor properties[] = {
      {"hold", nullptr, hold, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"release", nullptr, release, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, 2, properties);
  return exports;
}
