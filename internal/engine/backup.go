package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup copies everything as it stands at one moment into dir, which must not
// exist, while changes go on: a checkpoint, and the segments that it needs. The
// copy is a directory that Open opens; its index is made then. Segments that
// are not written any more are linked where that is possible, so that a backup
// on the same disk takes little time and space. progress is told how many
// octets are done of how many. After an error nothing of the copy is left.
func (e *Engine) Backup(ctx context.Context, dir string, progress func(done, total int64)) (err error) {
	if !e.gate.enter() {
		return ErrClosed
	}
	defer e.gate.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.janitor.ctx, cancel)()
	if _, err := e.fs.Stat(dir); err == nil {
		return fmt.Errorf("engine: backup: %s exists", dir)
	}
	e.removing.Lock() // no segment goes meanwhile
	defer e.janitor.wake()
	defer e.removing.Unlock()
	snap := e.db.NewSnapshot()
	unfinished := dir + unfinishedSuffix
	err = e.fs.RemoveAll(unfinished)
	if err == nil {
		err = e.backup(ctx, unfinished, snap, progress)
	}
	if err = errors.Join(err, snap.Close()); err == nil {
		err = e.fs.Rename(unfinished, dir)
	}
	if err == nil {
		if err = syncDir(e.fs, e.fs.PathDir(dir)); err != nil {
			unfinished = dir
		}
	}
	if err != nil {
		return errors.Join(err, e.fs.RemoveAll(unfinished))
	}
	return nil
}

// backedUp is one segment of a backup.
type backedUp struct {
	number uint32
	size   int64 // octets of it that belong to the backup
}

func (e *Engine) backup(ctx context.Context, dir string, snap *pebble.Snapshot, progress func(done, total int64)) error {
	logDir := e.fs.PathJoin(dir, "log")
	for _, d := range []string{dir, logDir} {
		if err := makeDir(e.fs, d); err != nil {
			return err
		}
	}
	c, err := writeCheckpoint(ctx, e.fs, logDir, 1, snap, e.skipped)
	if err != nil {
		return err
	}
	list, total, err := neededBy(snap, c.at)
	if err != nil {
		return err
	}
	done := int64(0)
	told := func(octets int64) {
		done += octets
		progress(done, total)
	}
	for _, s := range list {
		to := e.fs.PathJoin(logDir, segmentName(s.number))
		from, there := e.files.name(s.number)
		if there && s.number < c.at.segment && e.fs.Link(from, to) == nil {
			told(s.size)
			continue
		}
		if err := e.copySegment(ctx, s, to, told); err != nil {
			return err
		}
	}
	return syncDir(e.fs, logDir)
}

// neededBy returns the segments that a checkpoint needs: those with bodies, and
// the one where its log ends.
func neededBy(snap pebble.Reader, at position) (list []backedUp, total int64, err error) {
	accounts, err := loadAccounts(snap)
	if err != nil {
		return nil, 0, err
	}
	for _, number := range accounts.numbers() {
		a := accounts.of[number]
		if number < at.segment && a.bodies > 0 {
			list = append(list, backedUp{number, a.size})
			total += a.size
		}
	}
	return append(list, backedUp{at.segment, at.off}), total + at.off, nil
}

// copySegment copies the part of a segment that belongs to a backup. It is
// synced when copySegment returns.
func (e *Engine) copySegment(ctx context.Context, s backedUp, to string, told func(octets int64)) error {
	from, err := e.files.acquire(s.number)
	if err != nil {
		return err
	}
	defer e.files.release(from)
	out, err := e.fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for off := int64(0); off < s.size && err == nil; {
		n, failure := from.ReadAt(buf[:min(int64(len(buf)), s.size-off)], off)
		if n == 0 && failure != nil {
			if errors.Is(failure, io.EOF) {
				failure = &Damage{Segment: s.number, Offset: off, What: "segment is too short"}
			}
			err = failure
			break
		}
		if _, err = out.Write(buf[:n]); err == nil {
			err = ctx.Err()
		}
		off += int64(n)
		told(int64(n))
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
