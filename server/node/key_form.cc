#include "server/node/key_form.h"

#include <openssl/evp.h>

#include <algorithm>
#include <new>

#include "common/base/hash.h"

namespace meridian {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// The value of a hexadecimal digit, or -1.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Takes the next byte of a percent-encoded text. A '%' that encodes nothing stands for itself.
// REQUIRES: `text` is not empty.
char TakeDecoded(std::string_view* text) {
  const char c = text->front();
  if (c == '%' && text->size() >= 3) {
    const int high = HexDigit((*text)[1]);
    const int low = HexDigit((*text)[2]);
    if (high >= 0 && low >= 0) {
      text->remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  text->remove_prefix(1);
  return c;
}

// True when the name of a key's parameter, as it is there, is `wanted`.
bool IsParameter(const KeyPolicy& policy, std::string_view name, std::string_view wanted) {
  while (policy.trim && !name.empty() && IsSpace(name.front())) name.remove_prefix(1);
  while (policy.trim && !name.empty() && IsSpace(name.back())) name.remove_suffix(1);
  if (name == wanted) return true;
  for (const char c : wanted) {
    if (name.empty()) return false;
    const char found = TakeDecoded(&name);
    if (policy.lowercase ? Lower(found) != Lower(c) : found != c) return false;
  }
  return name.empty();
}

std::string Normalized(const KeyPolicy& policy, std::string_view key) {
  if (policy.trim) {
    while (!key.empty() && IsSpace(key.front())) key.remove_prefix(1);
    while (!key.empty() && IsSpace(key.back())) key.remove_suffix(1);
  }
  std::string form;
  form.reserve(key.size());
  bool in_text = false;  // A space or '?' was kept, so that no later ':' ends the prefix.
  for (const char c : key) {
    if (IsSpace(c)) {
      if (policy.trim && !in_text && !form.empty() && form.back() == ':') continue;
      in_text = true;
      if (!policy.collapse_spaces) {
        form.push_back(c);
      } else if (form.empty() || form.back() != ' ') {
        form.push_back(' ');
      }
      continue;
    }
    if (c == '?') in_text = true;
    form.push_back(policy.lowercase ? Lower(c) : c);
  }
  return form;
}

std::string Md5Hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_md5(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex.push_back("0123456789abcdef"[digest[i] >> 4]);
    hex.push_back("0123456789abcdef"[digest[i] & 0xF]);
  }
  return hex;
}

// How much of the key stands in front of what is hashed.
size_t PrefixSize(std::string_view key) {
  const auto text =
      std::find_if(key.begin(), key.end(), [](char c) { return c == '?' || IsSpace(c); });
  const size_t colon = key.substr(0, static_cast<size_t>(text - key.begin())).rfind(':');
  return colon == std::string_view::npos ? 0 : colon + 1;
}

std::string Hashed(KeyHash hash, std::string_view key) {
  const size_t prefix = PrefixSize(key);
  const std::string_view rest = key.substr(prefix);
  return std::string(key.substr(0, prefix)) +
         (hash == KeyHash::kMd5 ? Md5Hex(rest) : HexHash128(rest));
}

bool Normalizes(const KeyPolicy& policy) {
  return policy.trim || policy.lowercase || policy.collapse_spaces;
}

}  // namespace

bool FormsKeys(const NamespacePolicy& policy) {
  return Normalizes(policy.key) || policy.key.hash != KeyHash::kNone ||
         !policy.bypass_parameters.empty();
}

bool IsBypassed(const NamespacePolicy& policy, std::string_view key) {
  if (policy.bypass_parameters.empty()) return false;
  const size_t question = key.find('?');
  if (question == std::string_view::npos) return false;
  std::string_view query = key.substr(question + 1);
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    const std::string_view name = parameter.substr(0, parameter.find('='));
    for (const std::string& bypassed : policy.bypass_parameters) {
      if (IsParameter(policy.key, name, bypassed)) return true;
    }
    query.remove_prefix(std::min(parameter.size() + 1, query.size()));
  }
  return false;
}

bool KeepsForm(const KeyPolicy& policy, std::string_view formed) {
  return policy.hash == KeyHash::kNone || formed.size() <= policy.hash_above;
}

std::string_view FormKey(const KeyPolicy& policy, std::string_view key, std::string* storage) {
  if (Normalizes(policy)) {
    *storage = Normalized(policy, key);
    key = *storage;
  }
  if (!KeepsForm(policy, key)) {
    std::string hashed = Hashed(policy.hash, key);
    *storage = std::move(hashed);
    key = *storage;
  }
  return key;
}

std::optional<std::string_view> FormPrefix(const KeyPolicy& policy, std::string_view prefix,
                                           std::string* storage) {
  if (Normalizes(policy)) {
    *storage = Normalized(policy, prefix);
    prefix = *storage;
  }
  if (policy.hash != KeyHash::kNone && PrefixSize(prefix) < prefix.size()) return std::nullopt;
  return prefix;
}

}  // namespace meridian
