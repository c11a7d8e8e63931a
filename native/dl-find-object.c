// libgcc.a of GCC 12 and newer asks glibc 2.35's _dl_find_object(3) for the unwind table of a program counter. That
// one symbol would make 2.35 the oldest glibc the addon loads on; this is the same answer from dl_iterate_phdr(3),
// which glibc has had since 2.2.4. It is linked into the addon only and not exported.
#define _GNU_SOURCE
#include <features.h>

#if __GLIBC_PREREQ(2, 35)
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

struct search {
  uintptr_t pc;
  struct dl_find_object *found;
};

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  struct search *search = data;
  uintptr_t start = UINTPTR_MAX, end = 0;
  const void *eh_frame_hdr = NULL;
  int covers = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
    uintptr_t from = info->dlpi_addr + ph->p_vaddr, to = from + ph->p_memsz;
    if (ph->p_type == PT_GNU_EH_FRAME) eh_frame_hdr = (const void *)from;
    if (ph->p_type != PT_LOAD) continue;
    if (from < start) start = from;
    if (to > end) end = to;
    if (search->pc >= from && search->pc < to) covers = 1;
  }
  if (!covers || eh_frame_hdr == NULL) return 0;
  search->found->dlfo_flags = 0;
  search->found->dlfo_map_start = (void *)start;
  search->found->dlfo_map_end = (void *)end;
  search->found->dlfo_link_map = NULL; // libgcc does not read it
  search->found->dlfo_eh_frame = (void *)eh_frame_hdr;
  return 1;
}

__attribute__((visibility("hidden"))) int _dl_find_object(void *pc, struct dl_find_object *found) {
  struct search search = {(uintptr_t)pc, found};
  return dl_iterate_phdr(visit, &search) == 1 ? 0 : -1;
}
#endif
