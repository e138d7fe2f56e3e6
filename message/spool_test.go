package message

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpoolKeepsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, memory := range []int64{0, 1, 100, 1 << 20} {
		s := NewSpool(dir, memory)
		var want []byte
		for len(want) < 300<<10 {
			p := bytes.Repeat([]byte{byte(rnd.Uint32())}, int(rnd.Uint32N(9000)))
			n, err := s.Write(p)
			require.NoError(t, err)
			require.Equal(t, len(p), n)
			want = append(want, p...)
			require.EqualValues(t, len(want), s.Size())
		}
		require.Equal(t, memory != 1<<20, s.file != nil)
		got, err := io.ReadAll(NewReader(s))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, s.Close())
	}
}

func TestSpoolHasNoNameInTheFileSystem(t *testing.T) {
	dir := t.TempDir()
	s := NewSpool(dir, 10)
	defer s.Close()
	_, err := s.Write(make([]byte, 100_000))
	require.NoError(t, err)
	require.NotNil(t, s.file)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestSpoolIsReadByManyAtOnce(t *testing.T) {
	s := NewSpool(t.TempDir(), 1000)
	defer s.Close()
	want := multipartMessage(300 << 10)
	_, err := s.Write(want)
	require.NoError(t, err)
	index, err := Parse(s, Limits{})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := Parse(s, Limits{})
			if err != nil || !bytes.Equal(mustEncode(t, index), mustEncode(t, got)) {
				t.Error("another index", err)
			}
		})
	}
	wg.Wait()
}

func TestS29SpoolOnAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	s := NewSpool("", 100)
	s.create = func(string) (*os.File, error) { return full, nil }
	n, err := s.Write(make([]byte, 150))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 100, n)
	n, err = s.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Zero(t, n)
	require.NoError(t, s.Close())
}

func TestS29SpoolWithoutADirectory(t *testing.T) {
	s := NewSpool(filepath.Join(t.TempDir(), "missing"), 10)
	_, err := s.Write(make([]byte, 10))
	require.NoError(t, err)
	_, err = s.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, again := s.Write([]byte("x"))
	require.Equal(t, err, again)
	require.NoError(t, s.Close())
}

func TestSpoolAfterClose(t *testing.T) {
	s := NewSpool(t.TempDir(), 10)
	_, err := s.Write(make([]byte, 100))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = s.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = Parse(s, Limits{})
	require.ErrorIs(t, err, os.ErrClosed, "a closed spool must not look like an empty message")
}
