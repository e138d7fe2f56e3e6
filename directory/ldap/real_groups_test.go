package ldap

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestR3421ConnectorWalksNestedGroups runs with and without the overlay that
// tells users of their groups.
func TestR3421ConnectorWalksNestedGroups(t *testing.T) {
	for name, c := range map[string]struct {
		overlays []string
		memberOf string
	}{
		"memberOf": {overlays: []string{"memberof"}}, "member alone": {overlays: []string{}, memberOf: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSlapd(t, realtest.SlapdOptions{Overlays: c.overlays})
			config := atSlapd(s.URI())
			config.Attributes.MemberOf = c.memberOf
			connector := connectReal(t, config)
			path := func(user, group string) []string {
				t.Helper()
				path, err := connector.Member(t.Context(), findUser(t, connector, user), realtest.SlapdGroup(group))
				require.NoError(t, err)
				return path
			}
			inner, middle, outer := realtest.SlapdGroup("inner"), realtest.SlapdGroup("middle"), realtest.SlapdGroup("outer")
			require.Equal(t, []string{inner, middle, outer}, path("user0@example.test", "outer"))
			require.Equal(t, []string{middle, outer}, path("user2@example.test", "outer"))
			require.Equal(t, []string{inner}, path("user0@example.test", "inner"))
			require.Empty(t, path("user2@example.test", "inner"))
			require.Empty(t, path("user5@example.test", "outer"))
			require.Equal(t, []string{realtest.SlapdGroup("ring2"), realtest.SlapdGroup("ring1")}, path("user3@example.test", "ring1"))
			require.Empty(t, path("user3@example.test", "outer"), "a ring has an end")

			groups, err := connector.GroupsOf(t.Context(), findUser(t, connector, "user0@example.test"))
			require.NoError(t, err)
			require.ElementsMatch(t, []string{inner, middle, outer}, groups)
			members, err := connector.Members(t.Context(), outer)
			require.NoError(t, err)
			require.ElementsMatch(t, []string{realtest.SlapdUser(0), realtest.SlapdUser(1), realtest.SlapdUser(2)}, dns(members))
			members, err = connector.Members(t.Context(), realtest.SlapdGroup("ring1"))
			require.NoError(t, err)
			require.Equal(t, []string{realtest.SlapdUser(3)}, dns(members))
		})
	}
}

func dns(entries []*Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.DN)
	}
	return all
}
