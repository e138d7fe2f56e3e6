package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A checkpoint is a file with everything in the index at one moment. With the
// segments from its position on it makes the whole index again, so that no
// damage of the index loses anything, and only segments before it are removed.
// All numbers are big endian:
//
//	 0  8  checkpointMagic
//	 8  4  number of this checkpoint
//	12  4  segment, and
//	16  8  offset in it, up to where the log is applied here
//	24  4  CRC-32C of octets 0 to 23
//	28  4  zero
//
// Blocks follow, up to one of the kind blockEnd:
//
//	0  1  kind
//	1  3  zero
//	4  4  octets of the block's content
//	8  4  CRC-32C of octets 0 to 7 and the content
//
// The content of blockKeys is changes as in records, all of them opSet, by
// ascending key; that of blockEnd is how many keys there were, in 8 octets.
// The file gets its name when it is complete and synced.
const (
	checkpointHead   = 32
	checkpointMagic  = "phckpt01"
	checkpointSuffix = ".ckpt"
	unfinishedSuffix = ".tmp"

	blockHead   = 12
	blockKeys   = 1
	blockEnd    = 2
	blockOctets = 64 << 10 // of content, after which a block ends
)

// checkpoint is what is known of a checkpoint's file.
type checkpoint struct {
	number uint32
	at     position
	size   int64 // octets of the file
}

func (c checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointHead)
	b = append(b, checkpointMagic...)
	b = binary.BigEndian.AppendUint32(b, c.number)
	b = append(b, c.at.value()...)
	b = binary.BigEndian.AppendUint32(b, checksum(b))
	return b[:checkpointHead]
}

func checkpointName(number uint32) string { return fmt.Sprintf("%08d%s", number, checkpointSuffix) }

// readCheckpointInfo reads the head of checkpoint number from f.
func readCheckpointInfo(f vfs.File, number uint32) (c checkpoint, err error) {
	stat, err := f.Stat()
	if err != nil {
		return c, err
	}
	b := make([]byte, checkpointHead)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return c, err
	}
	if string(b[:8]) != checkpointMagic || checksum(b[:24]) != binary.BigEndian.Uint32(b[24:]) || binary.BigEndian.Uint32(b[8:]) != number {
		return c, checkpointDamage(number, 0)
	}
	at, err := parsePosition(b[12:24])
	return checkpoint{number, at, stat.Size()}, err
}

func checkpointDamage(number uint32, off int64) *Damage {
	return &Damage{What: fmt.Sprintf("checkpoint %d at offset %d", number, off)}
}

// writeCheckpoint writes a checkpoint of snap into dir, durable when it
// returns. skip says which keys are left out.
func writeCheckpoint(ctx context.Context, fs vfs.FS, dir string, number uint32, snap pebble.Reader, skip func([]byte) bool) (c checkpoint, err error) {
	v, ok, err := get(snap, []byte(keyPosition))
	if err != nil {
		return c, err
	}
	c = checkpoint{number: number, at: position{1, segmentHead}}
	if ok {
		if c.at, err = parsePosition(v); err != nil {
			return c, err
		}
	}
	name := fs.PathJoin(dir, checkpointName(number))
	f, err := fs.Create(name+unfinishedSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		return c, err
	}
	w := &checkpointWriter{out: bufio.NewWriterSize(f, 4*blockOctets), skip: skip}
	err = w.write(ctx, c, snap)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(name+unfinishedSuffix, name)
	}
	if err != nil {
		return c, errors.Join(err, removeIfThere(fs, name+unfinishedSuffix))
	}
	c.size = w.size
	return c, syncDir(fs, dir)
}

// checkpointWriter writes one checkpoint.
type checkpointWriter struct {
	out   *bufio.Writer
	skip  func(key []byte) bool
	block []byte
	keys  uint64
	size  int64
}

func (w *checkpointWriter) write(ctx context.Context, c checkpoint, snap pebble.Reader) (err error) {
	if _, err := w.out.Write(c.encode()); err != nil {
		return err
	}
	w.size = checkpointHead
	it, err := snap.NewIterWithContext(ctx, nil)
	if err != nil {
		return indexFailure(err)
	}
	defer func() { err = errors.Join(err, indexFailure(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if w.skip(it.Key()) {
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return indexFailure(err)
		}
		w.keys++
		if w.block = appendSet(w.block, it.Key(), value); len(w.block) < blockOctets {
			continue
		}
		if err := errors.Join(ctx.Err(), w.flush(blockKeys)); err != nil {
			return err
		}
	}
	if err := indexFailure(it.Error()); err != nil {
		return err
	}
	if err := w.flush(blockKeys); err != nil {
		return err
	}
	w.block = binary.BigEndian.AppendUint64(w.block, w.keys)
	return errors.Join(w.flush(blockEnd), w.out.Flush())
}

// flush writes the block that was gathered.
func (w *checkpointWriter) flush(kind byte) error {
	if len(w.block) == 0 {
		return nil
	}
	head := []byte{kind, 0, 0, 0}
	head = binary.BigEndian.AppendUint32(head, uint32(len(w.block)))
	head = binary.BigEndian.AppendUint32(head, blockSum(head, w.block))
	_, err := w.out.Write(head)
	if err == nil {
		_, err = w.out.Write(w.block)
	}
	w.size += int64(len(head) + len(w.block))
	w.block = w.block[:0]
	return err
}
