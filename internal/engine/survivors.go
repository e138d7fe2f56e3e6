package engine

import "context"

// survivors reads a segment from its start to its end, for the bodies in it
// that still have references. Each body is named by the record that it stands
// in, or by the one after it, so the index is asked for these names only.
type survivors struct {
	e      *Engine
	file   *segmentFile
	w      *walker
	off    int64   // of the next record
	body   int64   // where the body of the last kindBody stands
	broken *Damage // the first place that could not be read
}

// openSurvivors begins with a segment that is not written any more; close must
// be called.
func (e *Engine) openSurvivors(number uint32) (*survivors, error) {
	f, err := e.files.acquire(number)
	if err == errNoSegment {
		return nil, &Damage{Segment: number, What: "segment is missing"}
	}
	if err != nil {
		return nil, err
	}
	w, err := e.openWalker(f, number)
	if err != nil {
		e.files.release(f)
		return nil, err
	}
	w.size = min(w.size, e.accounts.get(number).size)
	w.win.size = w.size
	return &survivors{e: e, file: f, w: w, off: segmentHead, body: -1}, nil
}

func (s *survivors) close() { s.e.files.release(s.file) }

// damage says why there are bodies that next has not returned.
func (s *survivors) damage() error {
	if s.broken == nil {
		s.broken = &Damage{Segment: s.w.info.number, Offset: s.w.size, What: "bodies that no record names"}
	}
	return s.broken
}

// next returns some bodies, none at the end.
func (s *survivors) next(ctx context.Context) (batch []move, err error) {
	octets := int64(0)
	for s.off < s.w.size && len(batch) < compactBatch && octets < compactOctets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, ok, err := s.record()
		if err != nil || !ok {
			return batch, err
		}
		found, err := s.in(r)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			batch = append(batch, m)
			octets += m.from.size
		}
	}
	return batch, nil
}

// record reads the next record that is good.
func (s *survivors) record() (r record, ok bool, err error) {
	r, ok, err = s.w.at(s.off)
	if err == nil && !ok {
		if s.broken == nil {
			s.broken = &Damage{Segment: s.w.info.number, Offset: s.off, What: "record"}
		}
		r, ok, err = s.w.next(s.off)
	}
	if err != nil || !ok {
		s.off = s.w.size
		return r, false, err
	}
	s.off = r.end()
	if r.kind == kindBody {
		s.body = r.bodyAt()
	}
	return r, true, nil
}

// in returns the bodies that a record names and that stand in it, or in the
// record before, if they still do.
func (s *survivors) in(r record) (found []move, err error) {
	if r.kind != kindChange {
		return nil, nil
	}
	number := s.w.info.number
	ok, err := eachOp(r.ops, func(kv keyValue) error {
		id, ok := blobOfKey(kv.key)
		if !ok || kv.op != opSet {
			return nil
		}
		b, err := parseBlob(kv.value)
		if err != nil || b.segment != number || b.off != r.bodyAt() && b.off != s.body {
			return err
		}
		v, ok, err := s.e.getOwn(blobKey(id))
		if err != nil || !ok {
			return err
		}
		now, err := parseBlob(v)
		if err == nil && now.segment == number && now.off == b.off {
			found = append(found, move{id, now})
		}
		return err
	})
	if !ok {
		err = &Damage{Segment: number, Offset: r.off, What: "changes of a record"}
	}
	return found, err
}
