#include "base/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace malina::base {
namespace {

class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    std::string pattern = testing::TempDir() + "malina_machine_XXXXXX";
    root_ = mkdtemp(pattern.data());
    write("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\n");
    write("proc/cpuinfo", "processor\t: 0\nmodel name\t: A Chip 5000\n");
  }
  ~MachineTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::filesystem::path root_;
};

TEST_F(MachineTest, WithoutGroupsTheMachineIsTheLimit) {
  const Machine machine = read_machine(root_);
  EXPECT_EQ(machine.processor, "A Chip 5000");
  EXPECT_EQ(machine.memory_bytes, 1000U * 1024);
  EXPECT_EQ(machine.usable_bytes(), 600U * 1024);
  EXPECT_FALSE(machine.group_limit_bytes);
  EXPECT_GE(machine.usable_threads, 1U);
}

TEST_F(MachineTest, TheSmallestLimitOfAllGroupsAboveHolds) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/memory.max", "300000\n");
  write("sys/fs/cgroup/a/memory.current", "250000\n");
  write("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100000\nactive_file 50000\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  const Machine machine = read_machine(root_);
  EXPECT_EQ(machine.group_limit_bytes, 300000U);
  EXPECT_EQ(machine.group_used_bytes, 100000U) << "the file cache is given back when needed";
  EXPECT_EQ(machine.usable_bytes(), 200000U);
  EXPECT_EQ(machine.group_processors, 0.5);
  EXPECT_EQ(machine.usable_threads, 1U);
}

TEST_F(MachineTest, ReadsVersionOneWhereThePathIsTheHosts) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n1:name=systemd:/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "200000\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "250000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const Machine machine = read_machine(root_);
  write("sys/fs/cgroup/memory/memory.stat", "active_file 1\ntotal_active_file 30000\n");
  EXPECT_EQ(machine.group_limit_bytes, 200000U);
  EXPECT_EQ(machine.usable_bytes(), 0U);
  EXPECT_EQ(read_machine(root_).group_used_bytes, 220000U);
  EXPECT_FALSE(machine.group_processors);
}

TEST_F(MachineTest, NoLimitOfVersionOneIsNoLimit) {
  write("proc/self/cgroup", "4:memory:/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(read_machine(root_).group_limit_bytes);
}

TEST_F(MachineTest, ReadsThisMachine) {
  const Machine machine = read_machine();
  EXPECT_GT(machine.memory_bytes, machine.available_bytes);
  EXPECT_GT(machine.usable_bytes(), 0U);
}

TEST_F(MachineTest, SaysNothingWhereNothingCanBeRead) {
  const Machine machine = read_machine(root_ / "none");
  EXPECT_EQ(machine.memory_bytes, 0U);
  EXPECT_EQ(machine.processor, "");
  EXPECT_GT(machine.usable_bytes(), std::uint64_t{1} << 60) << "no limit is known";
}

}  // namespace
}  // namespace malina::base
