// IntrusiveList is a doubly linked list whose links live in its elements: no allocation, O(1) each.
//
// An element derives from ListLink<Tag> once for every list that it can be in; Tag tells them
// apart. The list does not own its elements. A list is not movable: elements point at it. Thread
// safety: none; the owner's lock covers the list and its elements.

#ifndef MERIDIAN_COMMON_ENGINE_INTRUSIVE_LIST_H_
#define MERIDIAN_COMMON_ENGINE_INTRUSIVE_LIST_H_

namespace meridian {

template <typename Tag>
struct ListLink {
  ListLink* prev = nullptr;
  ListLink* next = nullptr;

  // REQUIRES: in a list.
  void Unlink() {
    prev->next = next;
    next->prev = prev;
  }
};

template <typename Tag>
class IntrusiveList {
 public:
  IntrusiveList() { head_.prev = head_.next = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next == &head_; }
  // REQUIRES: !empty().
  ListLink<Tag>& front() { return *head_.next; }
  ListLink<Tag>& back() { return *head_.prev; }

  // REQUIRES: `link` is in no list of this Tag.
  void PushFront(ListLink<Tag>& link) {
    link.prev = &head_;
    link.next = head_.next;
    head_.next->prev = &link;
    head_.next = &link;
  }
  void PushBack(ListLink<Tag>& link) {
    link.next = &head_;
    link.prev = head_.prev;
    head_.prev->next = &link;
    head_.prev = &link;
  }

 private:
  ListLink<Tag> head_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_INTRUSIVE_LIST_H_
