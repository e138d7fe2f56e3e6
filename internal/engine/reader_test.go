package engine

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// readThrough reads a body as a Reader gives it.
func readThrough(r *Reader, id BlobID) ([]byte, error) {
	b, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(message.NewReader(b))
}

func TestReaderGivesWhatOpenGives(t *testing.T) {
	e := openMem(t)
	random := rngOf(2)
	sizes := []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 7, 2 * aheadSize}
	for range 100 {
		sizes = append(sizes, random.IntN(8<<10))
	}
	var ids []BlobID
	for i, n := range sizes {
		ids = append(ids, store(t, e, octets(n, uint32(i))))
	}
	r := e.NewReader()
	defer r.Close()
	for _, prepared := range [][]BlobID{ids, nil, ids[:3]} {
		require.NoError(t, r.Prepare(prepared))
		for _, order := range [][]int{random.Perm(len(ids)), ascending(len(ids)), ascending(len(ids))} {
			for _, i := range order {
				got, err := readThrough(r, ids[i])
				require.NoError(t, err)
				require.Equal(t, octets(sizes[i], uint32(i)), append([]byte{}, got...), "body %d", i)
			}
		}
	}
}

func ascending(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// TestReaderSeesWhatIsWrittenBehindWhatItReadAhead reads up to the end of the
// log, more than once.
func TestReaderSeesWhatIsWrittenBehindWhatItReadAhead(t *testing.T) {
	e := openMem(t)
	r := e.NewReader()
	defer r.Close()
	for i := range uint32(200) {
		id := store(t, e, octets(1000, i))
		require.NoError(t, r.Prepare([]BlobID{id}))
		got, err := readThrough(r, id)
		require.NoError(t, err)
		require.Equal(t, octets(1000, i), got)
	}
}

func TestReaderOpensBodiesThatMovedOrAreGone(t *testing.T) {
	e := openMem(t)
	ids := []BlobID{store(t, e, octets(100, 1)), store(t, e, octets(100, 2))}
	r := e.NewReader()
	defer r.Close()
	require.NoError(t, r.Prepare(ids))
	drop(t, e, ids[0])
	require.NoError(t, r.Prepare(ids))
	_, err := r.Open(ids[0])
	require.ErrorIs(t, err, ErrNoBlob)
	_, err = e.Compact(context.Background())
	require.NoError(t, err)
	got, err := readThrough(r, ids[1])
	require.NoError(t, err)
	require.Equal(t, octets(100, 2), got)
	require.NoError(t, e.Close())
	require.ErrorIs(t, r.Prepare(ids), ErrClosed)
	_, err = r.Open(ids[0])
	require.ErrorIs(t, err, ErrClosed)
}

func TestReaderHandsOutNothingThatIsDamaged(t *testing.T) {
	disk := vfs.NewMem()
	e := openAt(t, disk, "e")
	var ids []BlobID
	for i := range uint32(5) {
		ids = append(ids, store(t, e, octets(1000, i)))
	}
	require.NoError(t, e.Close())
	edit(t, disk, firstSegment, func(b []byte) []byte { b[len(b)-500] ^= 1; return b })
	e = openAt(t, disk, "e")
	r := e.NewReader()
	defer r.Close()
	require.NoError(t, r.Prepare(ids))
	for i, id := range ids {
		got, err := readThrough(r, id)
		if i == len(ids)-1 {
			require.ErrorIs(t, err, ErrDamaged)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, octets(1000, uint32(i)), got)
	}
}

func TestGetManyFindsWhatGetFinds(t *testing.T) {
	e := openMem(t)
	random := rngOf(3)
	commit(t, e, nil, func(tx *Tx) error {
		for i := 0; i < 500; i += 1 + random.IntN(4) {
			tx.Set(fmt.Appendf(nil, "k%03d", i), fmt.Appendf(nil, "v%d", i))
		}
		return nil
	})
	for range 50 {
		keys := make([][]byte, random.IntN(40))
		at := random.IntN(500)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "k%03d", at)
			if at += random.IntN(4); random.IntN(10) == 0 {
				at = random.IntN(500)
			}
		}
		found := map[int]string{}
		require.NoError(t, e.GetMany(keys, func(i int, v []byte) error { found[i] = string(v); return nil }))
		for i, k := range keys {
			v, ok, err := e.Get(k)
			require.NoError(t, err)
			got, there := found[i]
			require.Equal(t, ok, there, "%s", k)
			require.Equal(t, string(v), got)
		}
	}
	require.ErrorIs(t, e.GetMany([][]byte{[]byte("!b")}, nil), ErrBadKey)
	require.ErrorIs(t, e.GetMany([][]byte{[]byte("k000")}, func(int, []byte) error { return io.ErrNoProgress }), io.ErrNoProgress)
}
