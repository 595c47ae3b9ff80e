package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// fileLimit bounds what is read of a variable's file: a wrong path such as a device must not fill the memory.
const fileLimit = 1 << 20

// environment is what was set, by name. A blank value is not in it: set but empty means unset.
type environment struct {
	values map[string]string
	// paths holds the files that values were read from, by the variable's name.
	paths map[string]string
	// blank holds the names that were set to nothing, for the variables that tell this from unset.
	blank map[string]bool
	// spaces holds those of them that were set to white space.
	spaces map[string]bool
	// names holds every name in the order of environ, blank ones too, for the search for unknown ones.
	names []string
	// broken holds the variables whose file is at fault; they are not "missing" on top of that.
	broken map[string]bool
}

// Lookup implements envconfig.Lookuper.
func (e *environment) Lookup(name string) (string, bool) {
	value, ok := e.values[name]
	return value, ok
}

// readEnvironment reads environ and the files that <NAME>_FILE variables point to.
func readEnvironment(environ []string, vars []variable) (*environment, []string) {
	env := &environment{values: map[string]string{}, paths: map[string]string{}, blank: map[string]bool{},
		spaces: map[string]bool{}, broken: map[string]bool{}}
	seen := map[string]bool{}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || seen[name] { // of a name given twice the first counts, as for os.Getenv
			continue
		}
		seen[name] = true
		env.names = append(env.names, name)
		if value = strings.TrimSpace(value); value == "" {
			env.blank[name], env.spaces[name] = true, len(entry) > len(name)+1
		} else {
			env.values[name] = value
		}
	}
	return env, env.readFiles(vars)
}

// readFiles fills each variable that has a file. SOURCE_QUERY_FILE is both a variable of its own and the file form of
// SOURCE_QUERY, which is the same thing: outbox opens it, and here it is only seen to that it can be read.
func (e *environment) readFiles(vars []variable) (faults []string) {
	own := map[string]bool{}
	for _, v := range vars {
		own[v.name] = true
	}
	for _, v := range vars {
		from := v.name + fileSuffix
		path, given := e.values[from]
		if !given || strings.HasSuffix(v.name, fileSuffix) {
			continue // a file form has no file form; unknownNames says so
		}
		if _, both := e.values[v.name]; both {
			faults = append(faults, fmt.Sprintf("%s and %s are both set; set one of them", v.name, from))
			e.broken[v.name] = true
			delete(e.values, v.name)
			delete(e.values, from)
			continue
		}
		content, err := readFile(path)
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("%s names a file that cannot be used: %v", from, err))
			e.broken[v.name] = true
		case !own[from]:
			e.values[v.name], e.paths[v.name] = content, path
		}
	}
	return faults
}

// readFile returns a file's text without the blanks and the newline at its ends. Its errors leave the path out: whoever
// confuses NAME with NAME_FILE puts the secret there.
func readFile(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", withoutPath(err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, fileLimit+1))
	if err != nil {
		return "", withoutPath(err)
	}
	if len(content) > fileLimit {
		return "", errors.New("it is larger than 1 MiB")
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", errors.New("it is empty")
	}
	return text, nil
}

func withoutPath(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
