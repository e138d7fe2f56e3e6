package engine

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func blockSum(head, content []byte) uint32 {
	return crc32.Update(checksum(head[:8]), castagnoli, content)
}

// maxBlock bounds the content of a block: one key and value can be longer than
// blockOctets, but no longer than a record.
const maxBlock = maxChanges + blockOctets

// readCheckpoint calls f with the changes of each block. damaged is called for
// a block that is not what was written, after which the next one is tried; its
// error ends reading.
func readCheckpoint(file vfs.File, c checkpoint, f func(changes []byte) error, damaged func(*Damage) error) error {
	keys, lost := uint64(0), false
	for off := int64(checkpointHead); ; {
		kind, content, ok, err := readBlock(file, off, c.size)
		if err != nil {
			return err
		}
		switch {
		case !ok:
			lost = true
			if err := damaged(checkpointDamage(c.number, off)); err != nil {
				return err
			}
			if content == nil { // where the next block begins is not known
				return nil
			}
		case kind == blockEnd:
			if !lost && (len(content) != 8 || binary.BigEndian.Uint64(content) != keys) {
				return damaged(checkpointDamage(c.number, off))
			}
			return nil
		default:
			n, err := eachBlockKey(content, f)
			if errors.Is(err, errBadChanges) {
				err = damaged(checkpointDamage(c.number, off))
			}
			if err != nil {
				return err
			}
			keys += n
		}
		off += blockHead + int64(len(content))
	}
}

// eachBlockKey hands a block on and counts its keys.
func eachBlockKey(content []byte, f func(changes []byte) error) (n uint64, err error) {
	ok, err := eachOp(content, func(kv keyValue) error {
		if kv.op != opSet {
			return errBadChanges
		}
		n++
		return nil
	})
	if !ok {
		return n, errBadChanges
	}
	if err != nil {
		return n, err
	}
	return n, f(content)
}

// readBlock reads the block at off. ok is false when it is damaged; content is
// nil then unless its end is within the file.
func readBlock(file io.ReaderAt, off, size int64) (kind byte, content []byte, ok bool, err error) {
	var head [blockHead]byte
	if off+blockHead > size {
		return 0, nil, false, nil
	}
	if _, err := file.ReadAt(head[:], off); err != nil {
		return 0, nil, false, err
	}
	n := int64(binary.BigEndian.Uint32(head[4:]))
	if n > maxBlock || off+blockHead+n > size {
		return 0, nil, false, nil
	}
	content = make([]byte, n)
	if _, err := file.ReadAt(content, off+blockHead); err != nil {
		return 0, nil, false, err
	}
	good := blockSum(head[:], content) == binary.BigEndian.Uint32(head[8:]) && (head[0] == blockKeys || head[0] == blockEnd)
	return head[0], content, good, nil
}
