package message_test

import (
	"fmt"
	"io"

	"github.com/posthouse-mail/posthouse/message"
)

func ExampleParse() {
	body := message.FromBytes([]byte("From: Jane Doe <jane@example.org>\r\n" +
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"Content-Type: multipart/mixed; boundary=next\r\n\r\n" +
		"--next\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n2 + 2 =3D 4\r\n" +
		"--next\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=four.png\r\n\r\n...\r\n--next--\r\n"))
	index, err := message.Parse(body, message.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(index.Envelope.From[0].Mailbox, message.DecodeText(index.Envelope.Subject))
	if part, ok := index.Find([]int{1}); ok {
		text, _ := io.ReadAll(message.DecodedReader(body, part))
		fmt.Printf("%s/%s %q\n", part.Type, part.Subtype, text)
	}
	fmt.Println(index.Parts[1].Disposition, index.Parts[1].DispositionParams)
	// Output:
	// jane Grüße
	// text/plain "2 + 2 = 4"
	// attachment [{filename four.png}]
}

func ExampleFields() {
	header := []byte("Subject: a long\r\n subject\r\n>From a mailbox file\r\nTo: jane@example.org\r\n\r\n")
	for field := range message.Fields(header) {
		if field.Name != "" {
			fmt.Printf("%s is %q\n", field.Name, message.Unfold(field.Raw))
		}
	}
	// Output:
	// Subject is "a long subject"
	// To is "jane@example.org"
}
