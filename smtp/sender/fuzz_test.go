package sender

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

func FuzzLines(f *testing.F) {
	for _, s := range []string{"a\r\nb", "\r", "\n", "\r\r\n", "x\n.\nMAIL", "\r\n\r\n", "a\rb\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		var whole, pieces bytes.Buffer
		_, err := (&lines{w: &whole}).Write(bytes.Clone(content))
		require.NoError(t, err)
		l := &lines{w: &pieces}
		for chunk := range chunks(content, cut) {
			n, err := l.Write(chunk)
			require.NoError(t, err)
			require.Equal(t, len(chunk), n)
		}
		require.Equal(t, whole.String(), pieces.String(), "the cuts don't matter")
		out := strings.ReplaceAll(whole.String(), "\r\n", "")
		require.False(t, strings.ContainsAny(out, "\r\n"), "no lone CR or LF")
		if !bytes.ContainsAny(content, "\r\n") {
			require.Equal(t, string(content), whole.String())
		}
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
