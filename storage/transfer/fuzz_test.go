package transfer

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// FuzzMboxReader proves that any file is read to its end, and that reading
// from where a message begins finds the same messages.
func FuzzMboxReader(f *testing.F) {
	from := "From x Thu Feb  3 04:05:06 2011\n"
	for _, seed := range []string{
		"", from, from + "\n\n" + from, from + "Status: RO\nX-Keywords: a\n more\n\n>From x\n\n" + from + "x",
		from + "X-Posthouse-Message: date=2011-02-03T04:05:06+01:00 size=1 lines=raw end=added keywords=a+b\nStatus: RO\nX-Status: F\nX-Keywords: k\nx\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ctx := context.Background()
		var all []*incoming
		s := newMboxSource(bytes.NewReader(text), 0)
		for {
			in, err := s.next(ctx)
			if err != nil {
				break
			}
			defer in.body.Close()
			all = append(all, in)
		}
		for i, in := range all[:min(len(all), 10)] {
			require.Equal(t, storage.TrimDate(in.message.Date), in.message.Date)
			if i+1 == len(all) {
				break
			}
			again, err := newMboxSource(bytes.NewReader(text[in.octets:]), in.octets).next(ctx)
			require.NoError(t, err)
			require.Equal(t, all[i+1].position, again.position)
			require.Equal(t, all[i+1].flags, again.flags)
			require.Equal(t, octets(t, all[i+1].body), octets(t, again.body))
			require.NoError(t, again.body.Close())
		}
	})
}

func octets(t testing.TB, b message.Body) string {
	t.Helper()
	content, err := io.ReadAll(message.NewReader(b))
	require.NoError(t, err)
	return string(content)
}

type closable struct{ message.Body }

func (closable) Close() error { return nil }

// FuzzMboxRoundTrip proves that any message comes back from an mbox, between
// others, with its keyword and date.
func FuzzMboxRoundTrip(f *testing.F) {
	for _, c := range oddContents[:25] {
		f.Add(c, "key word", int64(0), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text, keyword string, date int64, system uint8) {
		m := storage.Message{UID: 1, Size: int64(len(text)), Date: storage.TrimDate(time.Unix(date, 0)), Flags: storage.Flags{System: storage.SystemFlags(system & 31)}}
		if keyword != "" && len(keyword) <= storage.MaxKeyword && keyword[0] != '\\' {
			m.Flags.Keywords = []imap.Flag{imap.Flag(keyword)}
		}
		var out bytes.Buffer
		w := &mboxWriter{out: bufio.NewWriter(&out)}
		for range 2 {
			require.NoError(t, w.add(1, m, closable{message.FromBytes([]byte(text))}))
		}
		require.NoError(t, w.out.Flush())
		one := describe(mail{text, m.Flags, m.Date})
		require.Equal(t, []string{one, one}, readMbox(t, out.String()))
	})
}

// FuzzFileName proves that names of files in a Maildir are read without harm,
// and that what Export writes into a name is read from it.
func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"", ":2,", "1.V1U2.posthouse,S=1,W=2,D=1+0100:2,FSa", "1.V1U2.posthouse,L=raw,K=99999999999999999999", "V1U.posthouse", "1.VU.posthouse", "1..posthouse"} {
		f.Add(seed, uint32(1), uint32(2), int64(3), 60, int64(-1))
	}
	f.Fuzz(func(t *testing.T, name string, validity, uid uint32, seconds int64, zone int, sets int64) {
		got := parseFileName(name)
		require.Equal(t, 0, compareFiles(got, parseFileName(got.base)), "a position leads back to its file")
		if strings.Contains(name, ":") {
			require.NotContains(t, got.base, ":")
		}
		if validity == 0 || uid == 0 {
			return
		}
		m := storage.Message{UID: imap.UID(uid), Size: 5, Date: storage.TrimDate(time.Unix(seconds, 0).In(time.FixedZone("", zone%86400)))}
		base := newBase(validity, m, content{ends: raw}, max(sets, -1))
		back := parseFileName(base + ":2,FS")
		require.Equal(t, base, back.base)
		require.Equal(t, validity, back.validity)
		require.Equal(t, m.UID, back.uid)
		require.Equal(t, m.Date.Format(time.RFC3339), back.date.Format(time.RFC3339))
		require.Equal(t, max(sets, -1), back.sets)
		require.Equal(t, raw, back.ends)
		require.Less(t, len(base), maxFile)
	})
}

// FuzzFolderName proves that every name of a mailbox comes back from a
// Maildir and from a tree of mbox files, and that any name that is found there
// becomes one that a store allows.
func FuzzFolderName(f *testing.F) {
	for _, name := range oddNames() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, found := range []string{fromMaildirName(name), fromMboxPath(name)} {
			usable := usableName(found)
			clean, err := storage.CleanName(usable)
			require.NoError(t, err)
			require.Equal(t, usable, clean)
		}
		clean, err := storage.CleanName(name)
		if err != nil {
			return
		}
		require.Equal(t, clean, fromMaildirName(maildirName(clean)))
		require.NotContains(t, maildirName(clean), "/")
		require.LessOrEqual(t, len((&maildirTree{}).path(clean)), maxFile)
		path := (&mboxTree{}).path(clean)
		if len(path) <= maxFile {
			require.Equal(t, clean, fromMboxPath(path))
		}
	})
}
