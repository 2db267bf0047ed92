# shellcheck shell=bash
# Completion for bash: put it into ~/.local/share/bash-completion/completions/mailhaul, or source it.

# Names of sections of one kind in the configuration: _mailhaul_names FILE KIND (an extended regular expression)
_mailhaul_names() {
	[ -r "$1" ] && sed -En "s/^[[:blank:]]*($2)[[:blank:]]+[\"']?([A-Za-z0-9._@+-]+)[\"']?[[:blank:]]*(\{.*)?\$/\2/p" "$1"
}

# The configuration that the line names, or the usual one
_mailhaul_config() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config)
			if [ "${COMP_WORDS[i + 1]}" = = ]; then
				((i++))
			fi
			printf '%s\n' "${COMP_WORDS[i + 1]/#\~/$HOME}"
			return
			;;
		esac
	done
	for i in "${XDG_CONFIG_HOME:-$HOME/.config}/mailhaul/mailhaul.conf" /etc/mailhaul.conf; do
		if [ -e "$i" ]; then
			printf '%s\n' "$i"
			return
		fi
	done
}

_mailhaul() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd='' i config
	local commands='run fetch sync migrate check info list status undo verify help'
	local options='--config --state-dir --quiet --verbose --json --help --version'

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config | --state-dir | -j | --jobs | --keep | --max-size | --folder)
			((i++))
			if [ "${COMP_WORDS[i]}" = = ]; then
				((i++))
			fi
			;;
		-* | =) ;;
		*)
			cmd=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $prev in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--state-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--keep)
		mapfile -t COMPREPLY < <(compgen -W 'no yes 7d 30d' -- "$cur")
		return
		;;
	-j | --jobs | --max-size | --folder) return ;;
	esac
	case $cmd in
	run) options+=' --due --jobs --dry-run --same-source --restore --allow-deletions' ;;
	fetch) options+=' --keep --max-size --folder --dry-run --same-source' ;;
	sync) options+=' --dry-run --same-source --restore --allow-deletions' ;;
	migrate) options+=' --max-size --folder --dry-run --same-source' ;;
	undo) options+=' --dry-run' ;;
	check) options+=' --connect' ;;
	verify) options+=' --full' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		return
	fi
	config=$(_mailhaul_config)
	case $cmd in
	'') mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	run | status | verify) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" 'fetch|sync|migrate' | sort -u)" -- "$cur") ;;
	info) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" account)" -- "$cur") ;;
	list) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" 'account|fetch|sync|migrate' | sort -u)" -- "$cur") ;;
	fetch) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" 'account|maildir|mbox') maildir: mbox: pop3s:// pop3://" -- "$cur") ;;
	sync) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" 'account|maildir') maildir: imaps:// imap://" -- "$cur") ;;
	migrate) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" 'account|maildir|mbox') maildir: mbox: imaps:// imap:// pop3s:// pop3://" -- "$cur") ;;
	undo) mapfile -t COMPREPLY < <(compgen -W "$(_mailhaul_names "$config" sync)" -- "$cur") ;;
	esac
}

complete -F _mailhaul mailhaul
