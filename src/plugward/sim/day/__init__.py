"""The hospital day 模拟医院日: demonstration, load test and proof in one."""
