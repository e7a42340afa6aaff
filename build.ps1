# Builds, tests and fetches: all the logic is in build/, which this only calls.
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot
dotnet run --project build -- @args
exit $LASTEXITCODE
