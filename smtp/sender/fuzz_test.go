package sender

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// FuzzDataWriter compares with the obvious way to do it, and with a reader of
// such data.
func FuzzDataWriter(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "\r", "\n", "\r\r\n", "x\n.\nMAIL", "\r\n\r\n", "a\rb\n", ".", "..\r\n.", ".\r", "\n.\r\n", "x\r.\r\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		var out bytes.Buffer
		d := newDataWriter(&out, int64(len(content)))
		for chunk := range chunks(content, cut) {
			n, err := d.Write(chunk)
			require.NoError(t, err)
			require.Equal(t, len(chunk), n)
		}
		require.NoError(t, d.end())

		want := strings.ReplaceAll(strings.ReplaceAll(string(content), "\r\n", "\n"), "\r", " ")
		if strings.HasSuffix(string(content), "\r") {
			want = want[:len(want)-1]
		}
		if content := string(content); content != "" && !strings.HasSuffix(content, "\n") {
			want += "\n"
		}
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(out.Bytes())))
		got, err := r.ReadDotBytes()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		_, err = r.ReadLine()
		require.ErrorIs(t, err, io.EOF, "nothing behind the end of data")
		bare := strings.ReplaceAll(out.String(), "\r\n", "")
		require.False(t, strings.ContainsAny(bare, "\r\n"), "no lone CR or LF")
		require.Equal(t, 1, strings.Count("\n"+out.String(), "\n.\r\n"), "one end of data")
	})
}

func chunks(b []byte, size int) func(func([]byte) bool) {
	size = min(max(size, 1), 64)
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// FuzzPeer lets a peer say anything: Send ends, in bounds, with an answer for
// every recipient, and says "sent" only when the peer had a chance to take it.
func FuzzPeer(f *testing.F) {
	f.Add([]byte("220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"))
	f.Add([]byte("220 hi\r\n250-hi\r\n250-STARTTLS\r\n250 DSN\r\n220 go\r\n"))
	f.Add([]byte("220 hi\r\n500 what\r\n250 hi\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n552 5.3.4 big\r\n"))
	f.Add([]byte("220-\x00\xff\r\n220 x\r\n"))
	f.Add([]byte("421 busy\r\n"))
	f.Add([]byte(strings.Repeat("220-x\r\n", 1000)))
	f.Fuzz(func(t *testing.T, says []byte) {
		peers := make(chan struct{}, 4)
		s := New(Options{
			Hostname: "us.test", MaxAttempts: 2, Logger: slog.New(slog.DiscardHandler),
			Timeouts: Timeouts{Connect: time.Second, Command: time.Second, DataEnd: time.Second},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					go func() { _, _ = io.Copy(io.Discard, theirs) }()
					_, _ = theirs.Write(says)
					theirs.Close()
					peers <- struct{}{}
				}()
				return ours, nil
			},
		})
		j := &Job{Route: Route{Hosts: []Host{{Name: "/x"}}}, Body: message.FromBytes([]byte("a: b\r\n\r\nhi\r\n"))}
		for _, a := range []string{"a@d.test", "b@d.test"} {
			j.Envelope.Recipients = append(j.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
		}
		for _, r := range s.Send(context.Background(), j) {
			require.NotNil(t, r.Reply)
			require.Contains(t, []int{2, 4, 5}, r.Reply.Code/100)
			require.LessOrEqual(t, len(r.Reply.Text), 2*maxText)
			if r.Reply.Code/100 == 2 {
				require.Contains(t, string(says), "354")
			}
		}
		<-peers
	})
}
