"""Quality of decoded frames: PSNR and MS-SSIM."""
