package local

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// fullFS is a disk that can be full: writes to the log then do half of their
// work and fail.
type fullFS struct {
	vfs.FS
	full *atomic.Bool
}

func (f fullFS) Unwrap() vfs.FS { return f.FS }

func (f fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.wrap(name, file), err
}

func (f fullFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, o...)
	return f.wrap(name, file), err
}

func (f fullFS) wrap(name string, file vfs.File) vfs.File {
	if file == nil || !strings.HasSuffix(name, ".seg") {
		return file
	}
	return &fullFile{file, f.full}
}

type fullFile struct {
	vfs.File
	full *atomic.Bool
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.full.Load() {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.File.Write(p)
}

func (f *fullFile) WriteAt(p []byte, off int64) (int, error) {
	if f.full.Load() {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, syscall.ENOSPC
	}
	return f.File.WriteAt(p, off)
}

// Truncate overwrites what should go, since files in memory can't be cut.
func (f *fullFile) Truncate(size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() <= size {
		return err
	}
	_, err = f.File.WriteAt(make([]byte, info.Size()-size), size)
	return err
}

// TestS29FullDiskStoresNothingByHalf fills the disk in the middle of a load.
// What is refused is refused whole, also in memory, and when there is room
// again the mail goes on.
func TestS29FullDiskStoresNothingByHalf(t *testing.T) {
	var full atomic.Bool
	o := quiet(fullFS{vfs.NewMem(), &full})
	s := open(t, "store", o)
	lives := make([]*life, 6)
	for i := range lives {
		lives[i] = killLife(i)
	}
	for range 8 {
		var g sync.WaitGroup
		refused := make([]bool, len(lives))
		for i, l := range lives {
			g.Go(func() {
				for range 15 {
					next := l.clone()
					err := next.step(t.Context(), s)
					if errors.Is(err, syscall.ENOSPC) {
						refused[i] = true
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					*l = *next
					if i == 0 && l.steps%10 == 5 {
						full.Store(true)
					}
				}
			})
		}
		g.Wait()
		full.Store(false)
		for i, l := range lives {
			if refused[i] {
				// A step of two changes, which makes a mailbox first, may be half done.
				require.Equal(t, l.print(), readLife(t, s, l.user).print())
			} else {
				lives[i] = l.between(t, s, l.steps, l.steps)
			}
		}
		sound(t, s)
	}
	require.NoError(t, s.Close())
	s = open(t, "store", o)
	for _, l := range lives {
		l.between(t, s, l.steps, l.steps)
	}
	sound(t, s)
}

func TestS29FullDiskIsATemporaryError(t *testing.T) {
	var full atomic.Bool
	s := open(t, "store", quiet(fullFS{vfs.NewMem(), &full}))
	deliver(t, s, "x", "alice")
	full.Store(true)
	_, err := s.Deliver(t.Context(), &storage.Delivery{Body: message.FromBytes([]byte("y")), Targets: []storage.Target{{User: "alice"}}})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, "x", contentOf(t, inbox(t, s, "alice"), 1), "reading goes on")
	full.Store(false)
	r := deliver(t, s, "z", "alice")
	require.EqualValues(t, 2, r[0].UID)
}
