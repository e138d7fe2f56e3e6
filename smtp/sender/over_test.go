package sender_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// sendOver sends a job over a connection to a peer whose greeting is read.
func sendOver(t *testing.T, p *peer, j *sender.Job) []sender.Result {
	t.Helper()
	nc, err := net.Dial("tcp", net.JoinHostPort(p.host, port(p)))
	require.NoError(t, err)
	greeting := make([]byte, 1)
	for greeting[0] != '\n' {
		_, err := nc.Read(greeting)
		require.NoError(t, err)
	}
	results := sender.New(sender.Options{Hostname: "us.test"}).SendOver(context.Background(), nc, "peer", j)
	require.Len(t, results, len(j.Envelope.Recipients))
	_, err = nc.Read(greeting)
	require.ErrorIs(t, err, net.ErrClosed)
	return results
}

func TestAConnectionThatIsThereIsUsed(t *testing.T) {
	p := newPeer(t, nil)
	j := job("x\r\n", "a@b.test", "one@d.test", "two@d.test")
	j.Hello = "client.test"
	results := sendOver(t, p, j)
	require.Equal(t, []int{250, 250}, codes(results))
	require.Equal(t, "peer", results[0].Host)
	require.Equal(t, "client.test", p.messages()[0].helo)
}

func TestAConnectionThatIsLostIsATemporaryFailure(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	results := sender.New(sender.Options{}).SendOver(context.Background(), near, "peer", job("x\r\n", "a@b.test", "one@d.test"))
	require.Equal(t, []int{451}, codes(results))
}

func TestExactRefusesWhatCantBeCarried(t *testing.T) {
	p := hostPeer(t, map[string]string{"EHLO": "250 hi"})
	for terms, want := range map[sender.Terms]int{0: 250, sender.Exact: 554} {
		j := job("ü\r\n", "a@b.test", "one@d.test")
		j.Terms = terms
		require.Equal(t, []int{want}, codes(overTo(t, p, j)))
	}
	j := job("x\r\n", "a@b.test", "one@d.test", "two@d.test")
	j.Terms = sender.Exact
	j.Envelope.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess}
	require.Equal(t, []int{550, 250}, codes(overTo(t, p, j)))
}

// hostPeer is a scripted peer whose address is returned.
func hostPeer(t *testing.T, replies map[string]string) string {
	host, number := hostile(t, dialogue(replies))
	return net.JoinHostPort(host, strconv.Itoa(number))
}

func overTo(t *testing.T, address string, j *sender.Job) []sender.Result {
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	_, err = io.ReadFull(nc, make([]byte, len("220 hi\r\n")))
	require.NoError(t, err)
	return sender.New(sender.Options{}).SendOver(context.Background(), nc, "peer", j)
}

func TestBinaryContentTravelsInOneChunk(t *testing.T) {
	content := "X: y\r\n\r\na\rb\nc\x00\r\n.\r\nMAIL"
	for answer, want := range map[string]int{"250 ok": 250, "552 no": 552} {
		got := make(chan string, 1)
		host, number := hostile(t, func(c net.Conn, r *bufio.Reader) {
			answerAll := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
			answerAll("220 hi")
			for {
				line, err := r.ReadString('\n')
				switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
				case err != nil:
					return
				case verb == "EHLO":
					answerAll("250-hi\r\n250-CHUNKING\r\n250 BINARYMIME")
				case verb == "BDAT":
					b := make([]byte, len(content))
					_, _ = io.ReadFull(r, b)
					got <- line + string(b)
					answerAll(answer)
				default:
					answerAll("250 ok")
				}
			}
		})
		j := job(content, "a@b.test", "one@d.test")
		j.Envelope.Options.Body = smtp.BodyBinaryMIME
		require.Equal(t, []int{want}, codes(send(t, sender.Options{}, at(j, host, number))))
		require.Equal(t, "BDAT 23 LAST\r\n"+content, <-got)
	}
}

func at(j *sender.Job, host string, port int) *sender.Job {
	j.Route.Hosts = []sender.Host{{Name: host, Port: port}}
	return j
}
