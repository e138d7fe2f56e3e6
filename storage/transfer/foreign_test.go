package transfer

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// tree makes files, by path.
func makeFiles(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		if !strings.HasSuffix(path, "/-") {
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		}
	}
	return dir
}

func TestDovecotsMaildirIsRead(t *testing.T) {
	dir := makeFiles(t, map[string]string{
		"cur/1700000002.M1P2.host,S=12,W=14:2,FSabz": "Subject: 2\n\n",
		"cur/1700000001.M1P2.host,S=12,W=14:2,DPRT":  "Subject: 1\n\n",
		"new/1700000003.M1P2.host":                   "Subject: 3\r\n\r\nmixed\nlines",
		"cur/.hidden":                                "x",
		"tmp/1700000009.M1P2.host":                   "torn",
		"dovecot-keywords":                           "0 $MDNSent\n1 work\n",
		"dovecot-uidlist":                            "3 V1 N4\n",
		"subscriptions":                              "V\t2\n\nINBOX\nEntwürfe\tAlt\nArchive\n",
		".Entw&APw-rfe.Alt/cur/-":                    "", ".Entw&APw-rfe.Alt/new/5.M1P1.host": "Subject: 5\n\n",
		`.a\2eb/new/-`: "", `.a\2eb/cur/6.M1P1.host:2,S`: "Subject: 6\n\n",
		".Bad*..Name/cur/-": "", ".Bad*..Name/new/7.x": "Subject: 7\n\n",
		".nothing/x": "",
	})
	for path, second := range map[string]int64{"cur/1700000002.M1P2.host,S=12,W=14:2,FSabz": 2, "cur/1700000001.M1P2.host,S=12,W=14:2,DPRT": 1, "new/1700000003.M1P2.host": 3} {
		require.NoError(t, os.Chtimes(filepath.Join(dir, path), time.Unix(second, 0), time.Unix(second, 0)))
	}
	a := newAccount(t)
	var notes []string
	sum, err := Import(context.Background(), a, dir, Maildir, Options{Note: func(mailbox, text string) { notes = append(notes, mailbox+" "+text) }})
	require.NoError(t, err)
	require.EqualValues(t, 6, sum.Messages)
	require.Len(t, notes, 2, "%q", notes)
	require.Equal(t, []string{
		`1970-01-01T00:00:01Z ["\\Answered" "\\Deleted" "\\Draft" "$Forwarded"] "Subject: 1\r\n\r\n"`,
		`1970-01-01T00:00:02Z ["\\Seen" "\\Flagged" "$MDNSent" "work"] "Subject: 2\r\n\r\n"`,
		`1970-01-01T00:00:03Z [] "Subject: 3\r\n\r\nmixed\r\nlines"`,
	}, got(t, a, "INBOX"))
	for name, want := range map[string]string{"Entwürfe/Alt": "Subject: 5", "a.b": "Subject: 6", "Bad_/_/Name": "Subject: 7"} {
		require.Contains(t, got(t, a, name)[0], want)
	}
	list := fmt.Sprint(all(t, a))
	require.Contains(t, list, `"Entwürfe/Alt" true`)
	require.Contains(t, list, `"Archive" true`)
	require.Contains(t, list, `"a.b" false`)
}

func TestCouriersSubscriptionsAreRead(t *testing.T) {
	dir := makeFiles(t, map[string]string{
		"cur/-": "", "new/-": "", ".Sent.Old/cur/-": "", ".Sent.Old/new/-": "", "courierimapsubscribed": "INBOX\nINBOX.Sent.Old\n",
	})
	a := newAccount(t)
	mustImport(t, a, dir, Maildir)
	require.Contains(t, fmt.Sprint(all(t, a)), `"Sent/Old" true`)
}

// readMbox reads the messages of an mbox that is given as text.
func readMbox(t testing.TB, text string) (list []string) {
	t.Helper()
	s := newMboxSource(strings.NewReader(text), 0)
	for {
		in, err := s.next(context.Background())
		if err == io.EOF {
			return list
		}
		require.NoError(t, err)
		content, err := io.ReadAll(message.NewReader(in.body))
		require.NoError(t, err)
		require.NoError(t, in.body.Close())
		list = append(list, describe(mail{string(content), in.flags, in.message.Date}))
	}
}

func TestForeignMboxIsRead(t *testing.T) {
	from := "From bob@example.org Thu Feb  3 04:05:06 2011\n"
	date := "2011-02-03T04:05:06Z"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty": {"", nil},
		"plain": {from + "Subject: a\n\nb\n\n" + from + "Subject: c\n\nd\n\n", []string{
			date + ` [] "Subject: a\r\n\r\nb\r\n"`, date + ` [] "Subject: c\r\n\r\nd\r\n"`,
		}},
		"status lines are no part of the message": {
			from + "X-IMAPbase: 1 2\nSubject: a\nStatus: RO\nX-Status: AFTD\n more\nX-Keywords: k  l\nX-UID: 7\nContent-Length: 2\nTo: b\n\nStatus: R\n\n", []string{
				date + ` ["\\Seen" "\\Answered" "\\Flagged" "\\Deleted" "\\Draft" "k" "l"] "Subject: a\r\nContent-Length: 2\r\nTo: b\r\n\r\nStatus: R\r\n"`,
			},
		},
		"quoted": {from + "\n>From x\n>>From y\n> From z\n\n", []string{date + ` [] "\r\nFrom x\r\n>From y\r\n> From z\r\n"`}},
		"a From_ line needs an empty line before it and a date": {
			from + "Subject: a\n\nb\n" + from + "From here on\n\nFrom there\n\n", []string{
				date + ` [] "Subject: a\r\n\r\nb\r\nFrom bob@example.org Thu Feb  3 04:05:06 2011\r\nFrom here on\r\n\r\nFrom there\r\n"`,
			},
		},
		"no empty line at the end": {from + "Subject: a\n\nb", []string{date + ` [] "Subject: a\r\n\r\nb"`}},
		"internal data of another program is no mail": {
			from + "Subject: DON'T DELETE THIS MESSAGE\nX-IMAP: 1 2\n\ndata\n\n" + from + "Subject: a\n\n\n", []string{date + ` [] "Subject: a\r\n\r\n"`},
		},
		"CRLF":  {strings.ReplaceAll(from+"Subject: a\n\nb\n\n"+from+"\nc\n\n", "\n", "\r\n"), []string{date + ` [] "Subject: a\r\n\r\nb\r\n"`, date + ` [] "\r\nc\r\n"`}},
		"zones": {"From x Thu, 3 Feb 2011 04:05:06 +0100\n\n\nFrom Thu Feb  3 04:05:06 EST 2011\n\n\n", []string{"2011-02-03T04:05:06+01:00" + ` [] "\r\n"`, "2011-02-03T04:05:06-05:00" + ` [] "\r\n"`}},
		"status lines that another program moved": {
			"From x Thu Feb  3 04:05:06 2011\nX-Posthouse-Message: date=2011-02-03T04:05:06+01:00 size=16 lines=crlf end=added keywords=a+b\nSubject: a\nStatus: RO\nX-Status: F\n\nb\n\n",
			[]string{`2011-02-03T04:05:06+01:00 ["\\Seen" "\\Flagged" "a b"] "Subject: a\r\n\r\nb"`},
		},
	} {
		require.Equal(t, c.want, readMbox(t, c.text), name)
	}
}

func TestATreeOfForeignMboxFilesIsRead(t *testing.T) {
	one := "From x Thu Feb  3 04:05:06 2011\nSubject: one\n\n\n"
	dir := makeFiles(t, map[string]string{"Inbox": one, "Inbox.msf": "index", "Work.sbd/2011": one, "Work": "", "Old.mbox": one, ".cache/x": one, "empty.mbox": ""})
	a := newAccount(t)
	var notes []string
	sum, err := Import(context.Background(), a, dir, Mbox, Options{Note: func(mailbox, text string) { notes = append(notes, mailbox) }})
	require.NoError(t, err)
	require.EqualValues(t, 3, sum.Messages)
	require.Contains(t, notes, "Inbox.msf")
	for _, name := range []string{"INBOX", "Work/2011", "Old"} {
		require.Len(t, got(t, a, name), 1, name)
	}
	require.Empty(t, got(t, a, "empty"))
	require.Contains(t, fmt.Sprint(all(t, a)), `"Work/2011" true`, "without a list of subscriptions all are subscribed")
}

func TestLargeMaildirsAreReadInOrderWithLittleMemory(t *testing.T) {
	files := map[string]string{"cur/-": "", "new/-": ""}
	for i := range 100 {
		files[fmt.Sprintf("%s/%d.x:2,", []string{"cur", "new"}[i%2], 1000-i)] = fmt.Sprint(1000 - i)
	}
	s := &maildirSource{dir: makeFiles(t, files), window: 7}
	for i := range 100 {
		in, err := s.next(context.Background())
		require.NoError(t, err)
		require.LessOrEqual(t, cap(s.ready), 32)
		content, err := io.ReadAll(message.NewReader(in.body))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(901+i), string(content))
	}
	_, err := s.next(context.Background())
	require.Equal(t, io.EOF, err)
}
