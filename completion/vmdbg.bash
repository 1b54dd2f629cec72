# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of vmdbg for bash.

_vmdbg_values()
{
	case $1 in
	--engine) echo auto soft kvm vtx ;;
	--mmu) echo ept shadow ;;
	--clock) echo virtual host ;;
	--positions) echo counted landmark ;;
	--serial) echo stdio null file: ;;
	--embed) echo all none ;;
	--boot) echo host inguest ;;
	--until) echo panic exit pattern: insns: time: ;;
	--expect) echo panic exit: pattern: ;;
	-m | --memory) echo 128M 256M 512M 1G 2G 4G ;;
	--date) echo now ;;
	--smp) echo 1 ;;
	--at) echo start end 50% event: checkpoint: ;;
	--checkpoint-memory) echo 512M 1G 2G 4G ;;
	--checkpoint-every) echo 500M 1s 5s ;;
	--ring) echo 64M 256M 1G ;;
	--append | --flat) echo ;;
	*) return 1 ;;
	esac
}

_vmdbg_options()
{
	local shared='--engine --mmu --initrd --disk --quiet -q --help'
	local guest="$shared --serial --screen --until --gdb --checkpoint-memory --json"
	local machine="$guest --memory -m --smp --append --boot --flat --bios --clock --positions --date"
	case $1 in
	record) echo "$machine --output -o --force --embed --ring --checkpoint-every" ;;
	run) echo "$machine" ;;
	replay) echo "$guest --kernel --at --expect --junit" ;;
	branch) echo "$guest --kernel --at --output -o --force --checkpoint-every" ;;
	index) echo "$shared --kernel --output -o --force --checkpoint-every" ;;
	settle) echo '--initrd --disk --quiet -q --help --kernel --output -o --force' ;;
	trace | doctor) echo '--json --help' ;;
	esac
}

_vmdbg()
{
	local cur prev command values
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	command=${COMP_WORDS[1]}
	COMPREPLY=()

	# bash takes "pattern:" and "--clock=host" apart at ':' and '='.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'record replay run branch trace doctor help --version' -- "$cur")
		return
	fi
	if [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'record replay run branch trace doctor' -- "$cur")
		return
	fi
	if [[ $command == trace ]] && ((COMP_CWORD == 2)); then
		mapfile -t COMPREPLY < <(compgen -W 'info dump verify index settle' -- "$cur")
		return
	fi
	[[ $command == trace && ${COMP_WORDS[2]} == @(index|settle) ]] && command=${COMP_WORDS[2]}
	if values=$(_vmdbg_values "$prev"); then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
		[[ ${COMPREPLY[0]-} == *: ]] && compopt -o nospace
		return
	fi
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_vmdbg_options "$command")" -- "$cur")
		return
	fi
	compopt -o filenames
	if [[ $command != record && $command != run && $prev != --kernel && $prev != --initrd && $prev != --disk && $prev != --junit ]]; then
		mapfile -t COMPREPLY < <(compgen -f -X '!*.vmt*' -- "$cur"; compgen -d -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -F _vmdbg vmdbg
