package engine

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// FuzzChangesOfARecord: whatever stands in a record is read without a panic,
// and what can be read is what appendSet and appendDelete make.
func FuzzChangesOfARecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendDelete(appendSet(nil, []byte("key"), []byte("value")), []byte("gone")))
	f.Add([]byte{opSet, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{opSet, 1, 'k', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		ok, err := eachOp(b, func(kv keyValue) error {
			if kv.op == opSet {
				again = appendSet(again, kv.key, kv.value)
			} else {
				again = appendDelete(again, kv.key)
			}
			return nil
		})
		require.NoError(t, err)
		if !ok {
			return
		}
		second := 0
		ok, _ = eachOp(again, func(keyValue) error { second++; return nil })
		require.True(t, ok)
		require.LessOrEqual(t, len(again), len(b))
	})
}

// FuzzSegment opens a segment in which some octets were replaced: there is no
// panic, and what is handed out is what was written.
func FuzzSegment(f *testing.F) {
	disk := vfs.NewMem()
	e, err := Open("e", quiet(disk))
	require.NoError(f, err)
	var ids []BlobID
	for i := range uint32(4) {
		require.NoError(f, tryCommit(e, octets(500, i), func(tx *Tx) error {
			ids = append(ids, tx.Blob())
			tx.Ref(tx.Blob(), 1)
			return nil
		}))
	}
	file, err := disk.Open(firstSegment)
	require.NoError(f, err)
	segment := make([]byte, e.w.off)
	_, err = file.ReadAt(segment, 0)
	require.NoError(f, err)
	require.NoError(f, file.Close())
	e.halt()
	require.NoError(f, e.shut())
	f.Add(uint16(0), []byte{})
	f.Add(uint16(70), []byte{0, 0, 0, 0})
	f.Add(uint16(len(segment)), segment[segmentHead:])
	f.Add(uint16(offsetOf(ids[2])), segment[segmentHead:segmentHead+recordHead])
	f.Add(uint16(offsetOf(ids[1]+24)), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint16, with []byte) {
		octs := bytes.Clone(segment)
		off := min(int(at), len(octs))
		octs = append(octs[:off], append(bytes.Clone(with), octs[min(len(octs), off+len(with)):]...)...)
		fs := vfs.NewMem()
		require.NoError(t, fs.MkdirAll("e/log", 0o700))
		w, err := fs.Create(firstSegment, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = w.Write(octs)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		e, err := Open("e", quiet(fs))
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		defer e.Close()
		for i, id := range ids {
			got, err := readBody(e, id)
			if err == nil {
				require.Equal(t, octets(500, uint32(i)), got)
			}
		}
	})
}
