package message

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func mustEncode(t testing.TB, p *Part) []byte {
	t.Helper()
	data, err := p.AppendBinary(nil)
	require.NoError(t, err)
	return data
}

func TestIndexSurvivesItsEncoding(t *testing.T) {
	for _, msg := range append(sampleMessages(), string(multipartMessage(3<<10))) {
		p := mustParse(t, msg, Limits{})
		data := mustEncode(t, p)
		back, err := DecodePart(data)
		require.NoError(t, err)
		require.Equal(t, p, back)
		require.Equal(t, data, mustEncode(t, back))
		after, err := p.AppendBinary([]byte("before"))
		require.NoError(t, err)
		require.Equal(t, "before"+string(data), string(after))
	}
}

func TestEncodedIndexIsSmall(t *testing.T) {
	for _, size := range []int{3 << 10, 50 << 10} {
		data := mustEncode(t, mustParse(t, string(multipartMessage(size)), Limits{}))
		require.Less(t, len(data), 600)
		t.Logf("index of a message of %d octets: %d octets", size, len(data))
	}
}

// TestStoredIndexesStayReadable holds version 1 of the encoding to octets that
// were written with it.
func TestStoredIndexesStayReadable(t *testing.T) {
	p := mustParse(t, "Subject: s\nFrom: A <a@gmail.com>\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nhello\n", Limits{})
	const stored = "\x01\x89\x04\x00\x69\x06\x01\x01\x05\x01\x27\x3d\x4d\x12\x02s\x01\x02A\x02a\x69"
	require.Equal(t, stored, string(mustEncode(t, p)))
	back, err := DecodePart([]byte(stored))
	require.NoError(t, err)
	require.Equal(t, p, back)
}

func TestDecodePartRefusesDamage(t *testing.T) {
	data := mustEncode(t, mustParse(t, string(multipartMessage(3<<10)), Limits{}))
	for n := range data {
		_, err := DecodePart(data[:n])
		require.ErrorIs(t, err, ErrBadIndex, "the first %d octets", n)
	}
	_, err := DecodePart(append(data[:len(data):len(data)], 0))
	require.ErrorIs(t, err, ErrBadIndex)
	_, err = DecodePart(append([]byte{2}, data[1:]...))
	require.ErrorIs(t, err, ErrBadIndex)
}

func TestDecodePartAllocatesNoMoreThanItReads(t *testing.T) {
	huge := binary.AppendUvarint([]byte{codecVersion, hasParams}, 0)
	huge = append(huge, 0, 0, 0, 1, 1)
	huge = binary.AppendUvarint(huge, math.MaxUint64)
	require.Less(t, testing.AllocsPerRun(10, func() { _, _ = DecodePart(huge) }), 20.0)
	_, err := DecodePart(huge)
	require.ErrorIs(t, err, ErrBadIndex)
}

func TestAppendBinaryRefusesWhatParseNeverMakes(t *testing.T) {
	leaf := func() *Part { return emptyPart(0) }
	for name, p := range map[string]*Part{
		"no envelope":             leaf(),
		"ends before it begins":   {Type: "text", Body: 2, End: 1, Envelope: &Envelope{}},
		"a multipart of nothing":  {Type: "multipart", Subtype: "mixed", Envelope: &Envelope{}},
		"a message of nothing":    {Type: "message", Subtype: "rfc822", Envelope: &Envelope{}},
		"a text with parts":       {Type: "text", Subtype: "plain", Envelope: &Envelope{}, Parts: []*Part{leaf()}},
		"a part outside":          {Type: "multipart", Subtype: "mixed", Envelope: &Envelope{}, Parts: []*Part{emptyPart(1)}},
		"parts in no order":       {Type: "multipart", Subtype: "mixed", End: 9, Envelope: &Envelope{}, Parts: []*Part{emptyPart(5), emptyPart(4)}},
		"more lines than octets?": {Type: "text", Lines: -1, Envelope: &Envelope{}},
	} {
		_, err := p.AppendBinary(nil)
		require.ErrorIs(t, err, ErrBadIndex, name)
	}
}

func FuzzDecodePart(f *testing.F) {
	for _, msg := range sampleMessages() {
		f.Add(mustEncode(f, mustParse(f, msg, Limits{})))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePart(data)
		if err != nil {
			require.ErrorIs(t, err, ErrBadIndex)
			return
		}
		again, err := DecodePart(mustEncode(t, p))
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

// sampleMessages are the seeds of the fuzz targets.
func sampleMessages() []string {
	return []string{
		"",
		"Subject: a\r\nFrom: A <a@b>\r\n\r\nhello\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html; charset=\"utf-8\"\r\nContent-Disposition: attachment; filename*0*=utf-8''a%20; filename*1=b\r\n\r\ntwo\r\n--b--\r\n",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb\n\ntwo\n--b\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: multipart/digest; boundary=c\n\n--c\n\nSubject: y\n--b--",
		"Content-Type: message/rfc822\r\nContent-Language: en, de\r\nContent-ID: <a>\r\nContent-Description: d\r\nContent-MD5: m\r\nContent-Location: l\r\nContent-Transfer-Encoding: 8bit\r\n\r\nDate: x\r\nSender: a\r\nReply-To: g: h@i;\r\nTo: <>\r\nCc: \"x\" <y@z>\r\nBcc: (c\r\nIn-Reply-To: <r>\r\nMessage-ID: <i>\r\n\r\nbody\r\n",
		"Content-Type: multipart/mixed\n\n--\n\n",
		"Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nAAAA\n",
		">From x\n y\nno colon\n:\n\x00\xff: z\r\rSubject\r\n\r\n" + strings.Repeat("-", 100),
	}
}
