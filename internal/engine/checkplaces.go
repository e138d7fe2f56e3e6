package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// placesWindow is how many bodies are compared with the segments at a time, 40
// octets each.
const placesWindow = 1 << 18

// placed is a body and where the index has it.
type placed struct {
	id BlobID
	blob
}

// checkPlaces compares where the index has each body with the records that are
// there. Bodies were mostly written in the order of their IDs, so that each
// window reads few segments.
func (e *Engine) checkPlaces(ctx context.Context, i *Inspection) error {
	snap := e.db.NewSnapshot()
	window := make([]placed, 0, 1024)
	err := eachBlob(snap, 0, func(id BlobID, b blob) error {
		window = append(window, placed{id, b})
		if len(window) < placesWindow {
			return nil
		}
		err := e.checkWindow(ctx, window, i)
		window = window[:0]
		return err
	})
	if err == nil {
		err = e.checkWindow(ctx, window, i)
	}
	return errors.Join(err, snap.Close())
}

func (e *Engine) checkWindow(ctx context.Context, list []placed, i *Inspection) error {
	slices.SortFunc(list, func(a, b placed) int { return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.off, b.off)) })
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(p placed) bool { return p.segment != list[0].segment })
		if n < 0 {
			n = len(list)
		}
		missing, err := e.notThere(ctx, list[:n])
		if err != nil {
			return err
		}
		for _, p := range missing {
			if err := e.reportPlace(p, i); err != nil {
				return err
			}
		}
		list = list[n:]
	}
	return nil
}

// notThere returns those bodies of a segment that no record holds. Damaged
// records are passed over, they are reported elsewhere; so is a segment that
// can't be read at all.
func (e *Engine) notThere(ctx context.Context, list []placed) (missing []placed, err error) {
	number := list[0].segment
	f, err := e.files.acquire(number)
	if errors.Is(err, errNoSegment) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer e.files.release(f)
	w, err := e.openWalker(f, number)
	if errors.Is(err, ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for off := int64(segmentHead); len(list) > 0 && off < w.size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, ok, err := w.at(off)
		if err == nil && !ok {
			r, ok, err = w.next(off)
			for ok && len(list) > 0 && list[0].off < r.off { // they may be what is damaged
				list = list[1:]
			}
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return missing, nil
		}
		for len(list) > 0 && (list[0].off < r.end() || list[0].size == 0 && list[0].off == r.end()) {
			if !r.holds(list[0].blob) {
				missing = append(missing, list[0])
			}
			list = list[1:]
		}
		off = r.end()
	}
	return append(missing, list...), nil
}

// holds reports whether a body is the record's.
func (r *record) holds(b blob) bool {
	sum := uint32(0)
	switch len(r.sums) {
	case 0:
	case 4:
		sum = binary.BigEndian.Uint32(r.sums)
	default:
		sum = checksum(r.sums)
	}
	return b.off == r.bodyAt() && b.size == r.body && b.sum == sum
}

// reportPlace reports a body that is not where the index has it, unless it has
// moved or died since.
func (e *Engine) reportPlace(p placed, i *Inspection) error {
	v, ok, err := e.getOwn(blobKey(p.id))
	if err != nil || !ok {
		return err
	}
	if now, err := parseBlob(v); err == nil && (now.segment != p.segment || now.off != p.off) {
		return nil
	}
	i.Damage(&Damage{Segment: p.segment, Offset: p.off, What: fmt.Sprintf("body %x is not what stands there", uint64(p.id))})
	return nil
}

// checkLocations reads what says which locations belong to the store.
func (e *Engine) checkLocations(i *Inspection) error {
	names := []string{e.fs.PathJoin(e.fs.PathDir(e.logDir), registryName)}
	for _, l := range e.files.locations {
		if !l.own {
			names = append(names, e.fs.PathJoin(l.dir, markerName))
		}
	}
	if len(names) == 1 { // there need be no list
		return nil
	}
	for _, name := range names {
		_, err := loadRegistry(e.fs, name)
		if errors.Is(err, errRegistry) || errors.Is(err, fs.ErrNotExist) {
			i.Damage(&Damage{What: fmt.Sprintf("file %s: %v", name, err)})
		} else if err != nil {
			return err
		}
	}
	return nil
}
