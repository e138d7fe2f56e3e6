package engine

// IndexStats are figures of the index.
type IndexStats struct {
	Disk   int64 // octets of its files
	Memory int64 // octets of what is not yet in files
	Cache  int64 // octets of its files kept in memory
}

// IndexStats returns the index's figures; all are zero once the engine is closed.
func (e *Engine) IndexStats() IndexStats {
	if !e.gate.enter() {
		return IndexStats{}
	}
	defer e.gate.leave()
	m := e.db.Metrics()
	return IndexStats{Disk: int64(m.DiskSpaceUsage()), Memory: int64(m.MemTable.Size), Cache: m.BlockCache.Size}
}
