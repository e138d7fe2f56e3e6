package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"
)

// TestExportAndImportKeepAnAccount exports messages that nobody here wrote,
// with a running node and without one, imports them for another user, and
// proves that everything comes back, once.
func TestExportAndImportKeepAnAccount(t *testing.T) {
	n := startNode(t, "")
	c := n.imapClient()
	require.NoError(t, c.Create("Größe/a.b", nil).Wait())
	require.NoError(t, c.Subscribe("Größe/a.b").Wait())
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", 5*3600+1800))
	samples := append(goMessageSamples(t), pythonSamples(t)...)
	for i, s := range samples {
		a := c.Append([]string{"INBOX", "Größe/a.b"}[i%2], int64(len(s.content)), &imap.AppendOptions{
			Flags: []imap.Flag{imap.FlagFlagged, "$Forwarded", imap.Flag(fmt.Sprintf("k%d", i%40))}, Time: date,
		})
		_, err := a.Write(s.content)
		require.NoError(t, err)
		require.NoError(t, a.Close())
		_, err = a.Wait()
		require.NoError(t, err, s.name)
	}
	want := account(t, c)
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		for _, format := range []string{"maildir", "mbox"} {
			dir := filepath.Join(t.TempDir(), "export")
			user := fmt.Sprintf("%s%v@example.test", format, running)
			n.mustRun("secret-of-many-words\n", "user", "add", user)
			out := n.mustRun("", "export", "-format", format, n.user, dir)
			require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`(?s)INBOX: .*\nok: exported %d messages, \d+ octets, 7 mailboxes\n$`, len(samples))), out)
			require.Contains(t, n.mustRun("", "export", "-format", format, n.user, dir), "ok: exported 0 messages")
			out = n.mustRun("", "import", "-format", format, user, dir)
			require.Regexp(t, fmt.Sprintf(`\nok: imported %d messages, \d+ octets, 7 mailboxes\n$`, len(samples)), out)
			require.Contains(t, n.mustRun("", "import", "-format", format, user, dir), "ok: imported 0 messages")
		}
	}
	again := startIn(t, n.dir)
	for _, user := range []string{"maildirtrue", "mboxtrue", "maildirfalse", "mboxfalse"} {
		require.Equal(t, want, account(t, again.imapAs(user+"@example.test", "secret-of-many-words")), user)
	}
	again.requireSound()
}

// account returns all that IMAP shows of an account.
func account(t testing.TB, c *imapclient.Client) []string {
	t.Helper()
	list, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: true}).Collect()
	require.NoError(t, err)
	var all []string
	for _, box := range list {
		all = append(all, fmt.Sprint(box.Mailbox, box.Attrs))
		selected, err := c.Select(box.Mailbox, nil).Wait()
		require.NoError(t, err)
		if selected.NumMessages == 0 {
			continue
		}
		section := &imap.FetchItemBodySection{Peek: true}
		messages, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{
			Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section},
		}).Collect()
		require.NoError(t, err)
		for _, m := range messages {
			flags := strings.ReplaceAll(fmt.Sprint(m.Flags), `\Recent`, "")
			all = append(all, fmt.Sprintf("%s %s %q", flags, m.InternalDate.Format(time.RFC3339), m.FindBodySection(section)))
		}
	}
	return all
}

func TestTransferCommandsSayWhatIsWrong(t *testing.T) {
	n := startNode(t, "")
	foreign := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(foreign, "cur"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "cur", "1.2.3:2,S"), []byte("Subject: x\n\n"), 0o600))
	for want, args := range map[string][]string{
		"usage: export":           {"export", n.user},
		`"tar" is no format`:      {"export", "-format", "tar", n.user, foreign},
		"no such":                 {"export", "nobody@example.test", foreign},
		"failed: mailbox INBOX: ": {"export", n.user, foreign},
		"holds no Maildir":        {"import", n.user, t.TempDir()},
	} {
		out, err := n.run("", args...)
		require.Error(t, err, args)
		require.Contains(t, out, want)
	}
}

// TestAnswersOfThisProcessAreStreamed proves that a command which runs without
// a node shows what is reported at once, and that giving up ends the work.
func TestAnswersOfThisProcessAreStreamed(t *testing.T) {
	ended := make(chan error, 1)
	d := direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "first")
		<-r.Context().Done()
		_, err := fmt.Fprintln(w, "second")
		ended <- err
	})}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://node/", nil)
	require.NoError(t, err)
	res, err := d.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	line := make([]byte, len("first\n"))
	_, err = io.ReadFull(res.Body, line)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(line))
	require.NoError(t, res.Body.Close())
	require.Error(t, <-ended)
}
