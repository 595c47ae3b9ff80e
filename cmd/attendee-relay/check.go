package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/internal/fault"
)

func newCheckCommand(p *program) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "check",
		Short: "Check everything the relay needs and print what is missing, with the SQL that fixes it",
		Long: `Checks the server's settings, the watched table, publication, slot, rights, the payload
query and the bookkeeping. It prints each requirement as ok, warn or fail, with the fix, and then a
summary. It changes nothing and does not run the payload query. Exit status 1: a requirement fails.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			seen, err := inspect(cmd.Context(), cfg, "check")
			defer seen.close(cmd.Context())
			if err != nil {
				return fmt.Errorf("checking the database: %w", err)
			}
			if asJSON {
				err = printJSON(p.stdout, seen.findings)
			} else {
				err = errors.Join(printFindings(p.stdout, seen.findings), say(p.stdout, summary(seen.findings)))
			}
			if err != nil {
				return err
			}
			if failed := fault.UnmetCodes(seen.findings, fault.Fail); len(failed) > 0 {
				return fmt.Errorf("requirements that are not met: %s", strings.Join(failed, ", "))
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, `print [{"code","level","message","fix"}]`)
	return command
}

// printJSON prints a value as a program reads it, with the characters of SQL as they are.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printFindings prints a table for people, and the fixes below their findings, to be pasted. A finding that passed is
// named by its requirement, any other by its code.
func printFindings(out io.Writer, findings []fault.Finding) error {
	for _, f := range findings {
		name := string(f.Code)
		if f.Level == fault.OK {
			name = f.Code.Requirement()
		}
		if _, err := fmt.Fprintf(out, "%-4s  %-21s  %s\n", f.Level, name, f.Message); err != nil {
			return err
		}
		if f.Fix == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%28s fix: %s\n", "", f.Fix); err != nil {
			return err
		}
	}
	return nil
}

func say(out io.Writer, line string) error {
	_, err := fmt.Fprintln(out, line)
	return err
}

// summary says in one line what failed and what was warned of.
func summary(findings []fault.Finding) string {
	failed, warned := fault.UnmetCodes(findings, fault.Fail), fault.UnmetCodes(findings, fault.Warn)
	text := "All requirements are met"
	if len(failed) > 0 {
		text = "Not met: " + strings.Join(failed, ", ")
	}
	switch len(warned) {
	case 0:
		return text + "; no warnings."
	case 1:
		return text + "; 1 warning: " + warned[0] + "."
	default:
		return fmt.Sprintf("%s; %d warnings: %s.", text, len(warned), strings.Join(warned, ", "))
	}
}
