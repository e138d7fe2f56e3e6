package message

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParse(f *testing.F) {
	for _, msg := range sampleMessages() {
		f.Add([]byte(msg), uint8(0))
		f.Add([]byte(msg), uint8(2))
	}
	f.Fuzz(func(t *testing.T, msg []byte, limit uint8) {
		n := int(limit)
		l := Limits{Depth: n, Parts: n, Params: n, Header: 8 * n, Address: n}
		p := mustParse(t, string(msg), l)
		requireSameWhenStreamed(t, string(msg), l)
		if n > 0 {
			require.LessOrEqual(t, countParts(p), n)
			require.LessOrEqual(t, depth(p), n+1)
		}
		back, err := DecodePart(mustEncode(t, p))
		require.NoError(t, err)
		require.Equal(t, p, back)

		prefix := []byte("Return-Path: <a@b>\r\nDelivered-To: c@d\r\n")
		shifted := p.Shift(int64(len(prefix)))
		joined, err := io.ReadAll(NewReader(Join(prefix, FromBytes(msg))))
		require.NoError(t, err)
		require.Equal(t, string(prefix)+string(msg), string(joined))
		requireSameContent(t, msg, p, joined, shifted)
		requireNoLineBreaks(t, p)
	})
}

func countParts(p *Part) int {
	n := 1
	for _, c := range p.Parts {
		n += countParts(c)
	}
	return n
}

func depth(p *Part) int {
	n := 0
	for _, c := range p.Parts {
		n = max(n, depth(c))
	}
	return n + 1
}

func requireSameContent(t *testing.T, a []byte, p *Part, b []byte, q *Part) {
	require.Equal(t, string(a[p.Body:p.End]), string(b[q.Body:q.End]))
	require.Len(t, q.Parts, len(p.Parts))
	for i := range p.Parts {
		require.Equal(t, string(a[p.Parts[i].Offset:p.Parts[i].Body]), string(b[q.Parts[i].Offset:q.Parts[i].Body]))
		requireSameContent(t, a, p.Parts[i], b, q.Parts[i])
	}
}

// requireNoLineBreaks reads the encoding, which holds all texts of an index.
func requireNoLineBreaks(t *testing.T, p *Part) {
	texts := append([]string{p.Type, p.Subtype, p.ID, p.Description, p.Encoding, p.MD5, p.Location, p.Disposition}, p.Language...)
	for _, q := range append(p.Params[:len(p.Params):len(p.Params)], p.DispositionParams...) {
		texts = append(texts, q.Name, q.Value)
	}
	if e := p.Envelope; e != nil {
		for _, s := range e.texts() {
			texts = append(texts, *s)
		}
		for _, list := range e.lists() {
			for _, a := range *list {
				texts = append(texts, a.Name, a.Mailbox, a.Host)
			}
		}
	}
	for _, s := range texts {
		require.NotContains(t, s, "\n")
		require.NotContains(t, s, "\r")
		require.NotContains(t, s, "\x00")
	}
	for _, c := range p.Parts {
		requireNoLineBreaks(t, c)
	}
}

func FuzzFields(f *testing.F) {
	for _, msg := range sampleMessages() {
		f.Add([]byte(msg))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var all []byte
		for field := range Fields(header) {
			require.NotEmpty(t, field.Raw)
			require.True(t, bytes.HasPrefix(field.Raw, []byte(field.Name)))
			all = append(all, field.Raw...)
			value := Unfold(field.Raw)
			require.NotContains(t, value, "\n")
			require.NotContains(t, value, "\r")
			require.NotContains(t, value, "\x00")
			DecodeText(value)
		}
		require.Equal(t, string(header), string(all))
	})
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a_b?= =?utf-8?b?YWI=?=", "=?x?q?a?=", "=?iso-2022-jp?b?GyRCJEg=?=", "=?=?=?", "a =?utf-8?q?=0D=0A?= b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := DecodeText(s)
		if !bytes.Contains([]byte(s), []byte("=?")) {
			require.Equal(t, s, got)
		}
		require.LessOrEqual(t, len(got), 8*len(s)+8)
	})
}

func FuzzDecodedReader(f *testing.F) {
	for _, s := range []string{"", "YWJj", "YW Jj\r\nYQ==YQ=", "a=3Db=\r\nc =\n\td=", "=", "==", "=4", "\x00\xff"} {
		f.Add([]byte(s), uint16(0))
		f.Add([]byte(s), uint16(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		body := FromBytes(data)
		for _, encoding := range []string{"base64", "quoted-printable", "7bit"} {
			p := &Part{Type: "text", Encoding: encoding, End: body.Size(), Params: []Param{{"charset", "utf-16"}}}
			whole, err := io.ReadAll(DecodedReader(body, p))
			require.NoError(t, err)
			require.LessOrEqual(t, len(whole), len(data))
			pieces := readInPieces(t, DecodedReader(trickle{body, int(size%7) + 1}, p), int(size%5)+1)
			require.Equal(t, string(whole), string(pieces))
			_, err = io.ReadAll(TextReader(body, p))
			require.NoError(t, err)
		}
	})
}

// trickle is a body that gives few octets at a time.
type trickle struct {
	Body
	n int
}

func (b trickle) ReadAt(p []byte, off int64) (int, error) {
	return b.Body.ReadAt(p[:min(len(p), b.n)], off)
}

func readInPieces(t *testing.T, r io.Reader, size int) (all []byte) {
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
	}
}

func FuzzParseDate(f *testing.F) {
	for s := range dates {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate(s)
		if !ok {
			require.True(t, got.IsZero())
			return
		}
		require.GreaterOrEqual(t, got.Year(), 1900)
		again, ok := ParseDate(got.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
		if got.Year() <= 9999 {
			require.True(t, ok)
			require.Equal(t, got.Unix(), again.Unix())
		}
		_, err := got.UTC().MarshalText()
		require.NoError(t, err)
	})
}
