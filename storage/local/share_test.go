package local

import (
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

const mailText = "Subject: x\r\nFrom: a@b.test\r\n\r\nHello.\r\n"

// large is mailText with a body that is worth an index.
var large = mailText + string(make([]byte, smallBody))

func TestWhatPrefixesShareStandsInTheBody(t *testing.T) {
	const own, other = "Delivered-To: a@b.test\r\n", "Delivered-To: c@b.test\r\n"
	const received = "Received: from x\r\n\tby y;\r\n Mon\r\n"
	for name, c := range map[string]struct {
		prefixes []string
		shared   string
	}{
		"one":                  {[]string{own + received}, own + received},
		"same":                 {[]string{own + received, own + received}, own + received},
		"no prefix":            {[]string{"", ""}, ""},
		"one without":          {[]string{own, ""}, ""},
		"own fields":           {[]string{own + received, other + received}, received},
		"one has no own field": {[]string{received, other + received}, received},
		"ends of a field":      {[]string{"Received: q\r\n by y;\r\n", "Received: r\r\n by y;\r\n"}, ""},
		"end of a word":        {[]string{"X-A: bc\r\n" + received, "X-B: dc\r\n" + received}, received},
		"fields of the index":  {[]string{own + "Subject: y\r\n", other + "Subject: y\r\n"}, "Subject: y\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "data", Options{FS: vfs.NewMem()})
			d := &storage.Delivery{Body: message.FromBytes([]byte(large))}
			for i, p := range c.prefixes {
				d.Targets = append(d.Targets, storage.Target{User: fmt.Sprint("user", i), Prefix: []byte(p)})
			}
			d.Targets = append(d.Targets, storage.Target{User: "user0", Mailbox: "None", Prefix: []byte("X: nobody's\r\n")}, storage.Target{})
			receipts, err := s.Deliver(t.Context(), d)
			require.NoError(t, err)
			require.Error(t, receipts[len(receipts)-1].Err)
			for i, p := range c.prefixes {
				requireMessage(t, s, fmt.Sprint("user", i), p+large)
			}
			sound(t, s)
			st := &Staged{s: s, d: &storage.Delivery{Body: d.Body, Targets: d.Targets[:len(c.prefixes)]}, receipts: make([]storage.Receipt, len(c.prefixes))}
			st.share()
			require.Equal(t, c.shared, string(st.shared))
		})
	}
}

// requireMessage expects one message in a user's INBOX, with its own index.
func requireMessage(t *testing.T, s *Store, user, text string) {
	a, err := s.Account(t.Context(), user)
	require.NoError(t, err)
	m, err := a.Mailbox(t.Context(), storage.Inbox)
	require.NoError(t, err)
	b, err := m.Open(t.Context(), 1)
	require.NoError(t, err)
	defer b.Close()
	got, err := io.ReadAll(message.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	index, err := m.Index(t.Context(), 1)
	require.NoError(t, err)
	want, err := message.Parse(message.FromBytes([]byte(text)), message.Limits{})
	require.NoError(t, err)
	require.Equal(t, want, index)
}
