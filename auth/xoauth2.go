package auth

import "strings"

// xoauth2 is XOAUTH2, which has no RFC: it is what Google and Microsoft made
// before there was OAUTHBEARER, and all that some clients know.
type xoauth2 struct{}

func (xoauth2) read(response string) (user string, fields map[string]string, err error) {
	name, rest, ok := strings.Cut(response, kvsep)
	user, named := strings.CutPrefix(name, "user=")
	if !ok || !named || user == "" {
		return "", nil, malformed("XOAUTH2 begins with a user")
	}
	fields, err = readFields(rest)
	return user, fields, err
}

func (xoauth2) failure(scope, _ string) any {
	return struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
		Scope   string `json:"scope,omitempty"`
	}{"401", "Bearer", scope}
}
