package message

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestBodiesReadAsReaderAtSays(t *testing.T) {
	const text = "Return-Path: <>\r\nSubject: x\r\n\r\nhello\r\n"
	spool := NewSpool(t.TempDir(), 10)
	_, err := io.Copy(spool, iotest.OneByteReader(bytes.NewReader([]byte(text))))
	require.NoError(t, err)
	defer spool.Close()
	for name, b := range map[string]Body{
		"bytes":             FromBytes([]byte(text)),
		"joined":            Join([]byte(text[:17]), FromBytes([]byte(text[17:]))),
		"joined open":       JoinOpen([]byte(text[:17]), &closing{Body: FromBytes([]byte(text[17:]))}),
		"joined to nothing": Join([]byte(text), FromBytes(nil)),
		"spool":             spool,
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, iotest.TestReader(NewReader(b), []byte(text)))
			require.EqualValues(t, len(text), b.Size())
			for from := range len(text) + 2 {
				for to := from; to < len(text)+3; to++ {
					p := make([]byte, to-from)
					n, err := b.ReadAt(p, int64(from))
					if want := max(0, min(to, len(text))-from); n != want {
						t.Fatalf("%d octets at %d, not %d", n, from, want)
					}
					if n < len(p) {
						require.Equal(t, io.EOF, err)
					}
					require.Equal(t, text[min(from, len(text)):][:n], string(p[:n]))
				}
			}
			_, err := b.ReadAt(make([]byte, 1), -1)
			require.Error(t, err)
		})
	}
}

func TestJoinOfNothingIsTheBody(t *testing.T) {
	b := &closing{Body: FromBytes(nil)}
	require.Same(t, b, Join(nil, b))
	require.Same(t, b, JoinOpen(nil, b))
}

func TestJoinOpenClosesItsBody(t *testing.T) {
	b := &closing{Body: FromBytes(nil)}
	require.NoError(t, JoinOpen([]byte("a: b\r\n"), b).Close())
	require.True(t, b.closed)
}

type closing struct {
	Body
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
