// What warming brought into this node's L1, for AdminService.GetFigures.
//
// Thread safety: may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_WARMED_FIGURES_H_
#define MERIDIAN_SERVER_NODE_WARMED_FIGURES_H_

#include "common/engine/engine.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

// Sets `warmed`, sorted by source and namespace.
inline void FillWarmed(const Engine& engine, admin::v1::GetFiguresResponse* figures) {
  figures->clear_warmed();
  for (const Engine::Warmed& warmed : engine.WarmedStats()) {
    admin::v1::WarmedFigures* const row = figures->add_warmed();
    row->set_source(warmed.source);
    row->set_namespace_(warmed.name_space);
    row->set_warmed_entries(warmed.counts.warmed);
    row->set_used_entries(warmed.counts.used);
    row->set_unused_entries(warmed.counts.unused);
    row->set_displaced_entries(warmed.counts.displaced);
  }
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_WARMED_FIGURES_H_
